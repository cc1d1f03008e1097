"""Write the shapes of requests and answers, from which `npm run types` makes `src/schemas.ts`.

python api/web/dev/schemas.py > api/web/schemas.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.service import schemas, schemas_images, schemas_jobs, schemas_models, schemas_search


def document() -> dict[str, Any]:
    """An OpenAPI document that has no paths, only what requests and answers look like."""
    found = {
        model.__name__: model
        for module in (schemas, schemas_images, schemas_jobs, schemas_models, schemas_search)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    }
    asked = {name for name, model in found.items() if issubclass(model, schemas.Asked)}
    modes = [(found[name], "validation" if name in asked else "serialization") for name in sorted(found)]
    _, definitions = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pellucid", "version": "1"},
        "paths": {},
        "components": {"schemas": {name.removesuffix("-Output"): shape for name, shape in definitions["$defs"].items()}},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=1, sort_keys=True) + "\n")
