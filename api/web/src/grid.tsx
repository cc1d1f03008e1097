/** The gallery: justified rows, of which only those near the window are in the document. */
import { signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { justify, rowAt, rowOf, shownAspect, type Rows } from "./justify";
import type { Listing } from "./listing";
import { openPhoto, place } from "./place";
import { moreLike } from "./query";
import { monthOf, s } from "./strings";
import { Tile } from "./tile";

const GAP = 4;
/** The line between what is likely and what is not, in pixels. */
const PARTING = 34;
/** Rows this far outside of the window are kept, in windows. */
const AROUND = 0.6;
/** Pictures are not asked for while the rows fly by faster than this, in pixels a frame. */
const FLYING = 900;

/** The photo that is to be scrolled to. */
export const wanted = signal<number | null>(null);
/** So many pixels at the top are covered by what stays there. */
const COVERED = 112;

/** Where each listing was scrolled to. */
const left = new Map<string, number>();
let shownLast = "";

export function rowHeight(width: number): number {
  return width < 520 ? 118 : width < 1000 ? 168 : width < 1800 ? 208 : 244;
}

export function Grid({ listing, dim }: { listing: Listing; dim?: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const window_ = useSignal<readonly [number, number]>([0, 12]);
  const flying = useSignal(false);
  const focused = useSignal(0);
  const topMost = useSignal(0);
  const moved = useRef(false);

  const rows = useComputed<Rows>(() => justify(width.value > 0 ? listing.aspects.value : [], width.value, rowHeight(width.value), GAP, listing.parted.value, PARTING));
  const name = `${listing.kind}${place.value.search}`;

  const look = useMemo(() => {
    let last = scrollY;
    let settle = 0;
    let pending = 0;
    const now = () => {
      pending = 0;
      const element = box.current;
      if (!element || !rows.value.count) return;
      const above = element.getBoundingClientRect().top;
      const high = innerHeight;
      const from = rowAt(rows.value, -above - AROUND * high);
      const to = rowAt(rows.value, -above + (1 + AROUND) * high);
      if (from !== window_.value[0] || to !== window_.value[1]) window_.value = [from, to];
      topMost.value = Math.max(0, (rows.value.first[rowAt(rows.value, -above + COVERED + 8) + 1] ?? 1) - 1); // the last of its row
      const speed = Math.abs(scrollY - last);
      last = scrollY;
      flying.value = speed > FLYING;
      left.set(name, scrollY);
      clearTimeout(settle);
      const ask = () => {
        flying.value = false;
        const [first, end] = window_.value;
        listing.need(rows.value.first[first] ?? 0, (rows.value.first[end + 1] ?? 1) - 1);
      };
      settle = window.setTimeout(ask, speed > FLYING ? 120 : 30);
    };
    return { now, soon: () => (pending ||= requestAnimationFrame(now)), end: () => (clearTimeout(settle), cancelAnimationFrame(pending)) };
  }, [listing]);

  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const sized = new ResizeObserver(() => {
      width.value = Math.floor(element.clientWidth);
    });
    sized.observe(element);
    width.value = Math.floor(element.clientWidth);
    addEventListener("scroll", look.soon, { passive: true });
    addEventListener("resize", look.soon);
    const back = place.value.again || name === shownLast ? (left.get(name) ?? 0) : 0;
    shownLast = name;
    if (back || scrollY) requestAnimationFrame(() => scrollTo(0, back));
    return () => {
      sized.disconnect();
      removeEventListener("scroll", look.soon);
      removeEventListener("resize", look.soon);
      look.end();
    };
  }, [listing]);

  useSignalEffect(() => {
    void rows.value;
    look.soon();
  });

  useSignalEffect(() => {
    if (wanted.value === null || !rows.value.count || !box.current) return;
    const top = rows.value.top[rowOf(rows.value, wanted.value)] as number;
    focused.value = wanted.value;
    wanted.value = null;
    scrollTo(0, scrollY + box.current.getBoundingClientRect().top + top - COVERED);
  });

  const follow = () => {
    const tile = box.current?.querySelector<HTMLElement>(`[data-at="${focused.value}"]`);
    tile?.focus({ preventScroll: true });
    moved.current = !tile; // its row may come with the next drawing
  };
  useEffect(() => {
    if (moved.current) follow();
  });

  const reveal = (photo: number) => {
    const row = rowOf(rows.value, photo);
    const element = box.current as HTMLDivElement;
    const top = (rows.value.top[row] as number) + element.getBoundingClientRect().top;
    const high = rows.value.height[row] as number;
    if (top < COVERED) scrollBy(0, top - COVERED - 4);
    else if (top + high > innerHeight - 12) scrollBy(0, top + high - innerHeight + 16);
  };

  const keys = (event: KeyboardEvent) => {
    const last = listing.aspects.value.length - 1;
    const at = focused.value;
    const row = rowOf(rows.value, at);
    const rtl = document.dir === "rtl";
    const beside = (step: number) => {
      const to = Math.min(Math.max(row + step, 0), rows.value.count - 1);
      const mine = middleOf(rows.value, listing.aspects.value, row, at);
      let best = rows.value.first[to] as number;
      for (let other = best; other < (rows.value.first[to + 1] as number); other++)
        if (Math.abs(middleOf(rows.value, listing.aspects.value, to, other) - mine) < Math.abs(middleOf(rows.value, listing.aspects.value, to, best) - mine)) best = other;
      return best;
    };
    const forward = rtl ? -1 : 1;
    const steps: Record<string, () => number> = {
      ArrowRight: () => at + forward, ArrowLeft: () => at - forward, ArrowDown: () => beside(1), ArrowUp: () => beside(-1),
      Home: () => 0, End: () => last, PageDown: () => beside(4), PageUp: () => beside(-4),
    };
    const shown = listing.at(at);
    if (event.key === "m" && shown) moreLike(shown.digest);
    else if (event.key === "Enter" && shown && (event.target as HTMLElement).matches("a")) openPhoto(shown.digest);
    else {
      const step = steps[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      focused.value = Math.min(Math.max(step(), 0), last);
      reveal(focused.value);
      look.now();
      follow(); // now, so that the next key finds it there
    }
    event.preventDefault();
  };

  const shown = rows.value;
  const [from, to] = window_.value;
  void listing.known.value;
  const parts = [];
  const parted = listing.parted.value;
  const border = parted ? rowOf(shown, parted) : -1;
  for (let row = from; row <= Math.min(to, shown.count - 1); row++) {
    const first = shown.first[row] as number;
    const end = shown.first[row + 1] as number;
    const high = shown.height[row] as number;
    const tiles = [];
    if (row === border)
      parts.push(<div class="parting" key="parting" aria-hidden="true" style={{ transform: `translateY(${(shown.top[row] as number) - PARTING}px)`, height: PARTING }}>{s.lessLikely}</div>);
    for (let at = first; at < end; at++)
      tiles.push(
        <Tile
          key={at} at={at} total={listing.total.value} photo={listing.at(at)} width={high * shownAspect(listing.aspects.value[at] as number)} height={high}
          still={!flying.value} focusable={at === focused.value} onFocus={() => (focused.value = at)}
        />,
      );
    parts.push(
      <div class="row" role="presentation" key={row} style={{ transform: `translateY(${shown.top[row]}px)`, height: high }}>
        {tiles}
      </div>,
    );
  }
  const at = listing.kind === "all" ? listing.at(topMost.value)?.taken_at : null;
  return (
    <>
      {at && scrollY > 200 ? <div class="month" aria-hidden="true">{monthOf(at)}</div> : null}
      <div
        ref={box} class={`grid${dim ? " dim" : ""}`} role="list" aria-label={s.photos(listing.total.value)} aria-busy={listing.loading.value}
        style={{ height: shown.total }} onKeyDown={keys}
      >
        {parts}
      </div>
    </>
  );
}

function middleOf(rows: Rows, aspects: ArrayLike<number>, row: number, photo: number): number {
  const high = rows.height[row] as number;
  let across = 0;
  for (let at = rows.first[row] as number; at < photo; at++) across += high * shownAspect(aspects[at] as number) + rows.gap;
  return across + (high * shownAspect(aspects[photo] as number)) / 2;
}

/** Grey rows while the first answer is awaited. */
export function GridSkeleton() {
  const aspects = [150, 75, 133, 150, 100, 67, 178, 133, 150, 150, 75, 133, 100, 150, 178, 133, 67, 150];
  return (
    <div class="skeleton" aria-hidden="true">
      {aspects.map((aspect, at) => (
        <div key={at} style={{ flexGrow: aspect, flexBasis: `${aspect * 1.9}px` }} />
      ))}
    </div>
  );
}
