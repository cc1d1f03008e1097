"""What a build has made, written to the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search import Failure

from .regions import averaged

if TYPE_CHECKING:
    from search import Key, Recipe, Store

    from .encoding import Embedded
    from .inventory import Inventory
    from .report import Report


class Writer:
    """Writes batches as one commit each time. Vectors and measures first, then the rows that need them: a kill between the two leaves no half photo."""

    def __init__(self, store: Store, recipe: Recipe, held: Inventory, report: Report) -> None:
        self.store, self.recipe, self.held, self.report = store, recipe, held, report

    def commit(self, batches: Sequence[Embedded]) -> dict[Key, str]:
        """The digests of the files whose rows are in the store now."""
        with self.report.timed("write"):
            items = [item for batch in batches for item in batch.items]
            self._vectors(batches)
            self._regions(batches)
            measures = {item.digest: item.measures for item in items if item.measures}
            if measures:
                from preprocess import MEASURES_SOURCE  # here, since it loads OpenCV

                self.store.scores.put(measures, MEASURES_SOURCE)
            self.store.put_images([item.row for item in items if not self.held.stands(item)], known=self.held.known)
            self.store.clear_failures(item.found.key for item in items if item.found.key in self.held.failures)
            for item in items:
                if item.error is not None:
                    self.report.fail(item.found, item.error)
            errors = self.report.take_errors()
            self.store.record_failures(
                [Failure(*item.key, item.byte_size, item.modified_ns, type(error).__name__, str(error)) for item, error in errors]
            )
            self.report.dehazed += sum(item.row.get("dehazed") is not None for item in items)
            return {item.found.key: item.digest for item in items}

    def _vectors(self, batches: Sequence[Embedded]) -> None:
        """Of the photos as they are, and of those that went through an enhancer."""
        import numpy as np

        for enhancer in sorted({source[0] for batch in batches for source in batch.sources}):
            parts = [batch.of(enhancer) for batch in batches]
            recipe = self.recipe.through(enhancer)
            self.store.register(recipe)
            self.store.add_vectors(
                recipe, [digest for digests, _ in parts for digest in digests], np.concatenate([rows for _, rows in parts])
            )

    def _regions(self, batches: Sequence[Embedded]) -> None:
        """The vectors of regions, then the regions that are new."""
        import numpy as np

        stage, store = self.held.regions, self.store.regions
        crops = [crop for batch in batches for crop in batch.crops]
        if crops:
            store.put_vectors(self.recipe, *averaged(crops, np.concatenate([batch.crop_vectors for batch in batches])))
        items = [item for batch in batches for item in batch.items]
        found = {item.digest: item.regions.annotation for item in items if item.regions.annotation is not None}
        fresh = {digest: annotation for digest, annotation in found.items() if digest not in stage.done}
        store.put(fresh, known=stage.kept)
        stage.finished(fresh, [item.digest for item in items])
        self.report.annotated += len(fresh)
        self.report.regions += sum(len(annotation.regions) for annotation in fresh.values())
