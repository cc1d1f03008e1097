/** The gallery: all photos or the hits, and what to say where there are none. */
import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Filters, filtersOpen } from "./filters";
import { Grid, GridSkeleton, rowHeight, wanted } from "./grid";
import { justify } from "./justify";
import { empty, facets } from "./library";
import { Hits, listing, renewed, shownBefore } from "./listing";
import { Failed } from "./notes";
import { asks, change, filtersSet, NO_FILTERS, query } from "./query";
import type { HitGiven } from "./schemas";
import { percent, s } from "./strings";
import { Thumbnail } from "./tile";
import { Toolbar } from "./toolbar";
import { photoLink } from "./place";
import { Empty } from "./views/empty";

const windowSize = signal<readonly [number, number]>([0, 0]);
const measure = () => (windowSize.value = [document.documentElement.clientWidth, innerHeight]);
measure();
addEventListener("resize", measure);
/** What stands beside and above the photos, in pixels. */
const AROUND_PHOTOS = 32;
const FILTERS = 284;
const ABOVE_PHOTOS = 113;

const ready = computed(() => {
  const now = listing.value;
  if (now && !now.loading.value) return now;
  return shownBefore.value;
});

export function Gallery() {
  const now = listing.value;
  useEffect(() => {
    document.title = query.value.words ? `${query.value.words} · ${s.product}` : s.product;
  });
  if (empty.value) return <Empty />;
  const shown = ready.value;
  const waiting = Boolean(now?.loading.value && !now.error.value);
  return (
    <div class={`gallery${filtersOpen.value ? " with-filters" : ""}`}>
      <h1 class="unseen">{asks(query.value) ? s.searchLabel : s.home}</h1>
      <Toolbar />
      <div class="columns">
        {filtersOpen.value ? <Filters /> : null}
        <div class="photos" id="photos" tabIndex={-1}>
          {now?.error.value ? (
            <Failed error={now.error.value} again={() => (renewed.value += 1)} />
          ) : shown ? (
            <Found key={shown.id} shown={shown} waiting={waiting} />
          ) : (
            <GridSkeleton />
          )}
        </div>
        {shown?.kind === "all" && !query.value.sort ? <Years aspects={shown.aspects.value} /> : null}
      </div>
    </div>
  );
}

function Found({ shown, waiting }: { shown: NonNullable<typeof ready.value>; waiting: boolean }) {
  const answer = shown instanceof Hits ? shown.answer.value : null;
  return (
    <>
      {answer?.note ? <p class="remark">{answer.note}</p> : null}
      {answer && !answer.hits.length ? <Nothing miss={answer.nearest_miss ?? null} verdict={answer.verdict} why={answer.why ?? ""} /> : null}
      {!answer && !shown.total.value ? <NoPhotos /> : null}
      {shown.total.value ? <Grid listing={shown} dim={waiting} /> : null}
    </>
  );
}

function Nothing({ miss, verdict, why }: { miss: HitGiven | null; verdict: string; why: string }) {
  const words = query.value.words.trim();
  return (
    <div class="state nothing">
      <h2>{verdict === "none" ? s.nothingMatches(words) : s.noHitsStrict}</h2>
      {why ? <p class="why-not">{s.reason(why)}</p> : null}
      {filtersSet(query.value) ? (
        <p><button class="link" type="button" onClick={() => change({ filters: NO_FILTERS, where: "" })}>{s.clearFilters}</button></p>
      ) : null}
      {miss ? (
        <figure class="miss">
          <a href={photoLink(miss.digest)}><Thumbnail digest={miss.digest} side={320} alt={miss.path} /></a>
          <figcaption><b>{s.nearestMiss}</b> · {percent(miss.probability)}<br />{s.nearestMissHint}</figcaption>
        </figure>
      ) : null}
      {query.value.strictness > 0 ? <button class="button" type="button" onClick={() => change({ strictness: 0 })}>{s.showAnyway}</button> : null}
    </div>
  );
}

function NoPhotos() {
  return (
    <div class="state">
      <h2>{filtersSet(query.value) ? s.noPhotosWhere : s.emptyTitle}</h2>
      {filtersSet(query.value) ? <button class="button" type="button" onClick={() => change({ filters: NO_FILTERS, where: "" })}>{s.clearFilters}</button> : null}
    </div>
  );
}

/** The years at the edge, each as high as it has photos, as the gallery is: a click goes there. */
function Years({ aspects }: { aspects: ArrayLike<number> }) {
  const given = facets.value;
  const [width, height] = windowSize.value;
  if (!given || asks(query.value) || filtersSet(query.value) || given.years.length < 2) return null;
  // Measured without the years, whose own width must not decide whether they are there.
  const room = width - AROUND_PHOTOS - (filtersOpen.value ? FILTERS : 0);
  if (aspects.length < 500 && justify(aspects, room, rowHeight(room), 4).total < height - ABOVE_PHOTOS) return null; // all is in sight
  const years = [...given.years].sort((a, b) => b.value.localeCompare(a.value));
  let before = 0;
  return (
    <nav class="years" aria-label={s.years}>
      {years.map((year) => {
        const start = before;
        before += year.photos;
        return (
          <button key={year.value} type="button" style={{ flexGrow: year.photos }} title={s.jumpTo(year.value, year.photos)} aria-label={s.jumpTo(year.value, year.photos)} onClick={() => (wanted.value = start)}>
            <span>{year.value}</span>
          </button>
        );
      })}
    </nav>
  );
}
