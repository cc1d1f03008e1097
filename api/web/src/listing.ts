/** The photos that are shown: all of the library in an order, or the hits of a search. Both are got in parts, as they are scrolled to. */
import { batch, computed, effect, signal, untracked, type ReadonlySignal, type Signal } from "@preact/signals";
import { api, ApiError, isAbort, type Order } from "./api";
import { asks, conditionOf, query, requestOf, type Query } from "./query";
import type { HitGiven, PhotoGiven, SearchGiven } from "./schemas";

export type Shown = PhotoGiven | HitGiven;

export interface Listing {
  readonly id: number;
  readonly kind: "all" | "hits";
  /** How many there are, of which the shapes of the first `aspects.length` are known. */
  readonly total: Signal<number>;
  readonly aspects: Signal<ArrayLike<number>>;
  /** Changes whenever another photo is known. */
  readonly known: Signal<number>;
  readonly loading: Signal<boolean>;
  readonly error: Signal<ApiError | null>;
  /** The first of those that are unlikely, where all that are likely come before it; 0 where nothing parts them. */
  readonly parted: ReadonlySignal<number>;
  at(position: number): Shown | undefined;
  /** Where a photo is; of several places, which copies have, the one nearest to `near`. */
  positionOf(digest: string, near?: number): number | undefined;
  /** These are to be seen now. */
  need(first: number, last: number): void;
  stop(): void;
}

const PAGE = 120;
const AT_ONCE = 3;

let made = 0;

abstract class Base implements Listing {
  readonly id = ++made;
  abstract readonly kind: "all" | "hits";
  readonly total = signal(0);
  readonly aspects = signal<ArrayLike<number>>([]);
  readonly known = signal(0);
  readonly loading = signal(true);
  readonly error = signal<ApiError | null>(null);
  readonly parted: ReadonlySignal<number> = signal(0);
  protected readonly control = new AbortController();
  protected readonly photos = new Map<number, Shown>();
  private readonly positions = new Map<string, number[]>();

  at(position: number): Shown | undefined {
    return this.photos.get(position);
  }

  positionOf(digest: string, near = 0): number | undefined {
    const places = this.positions.get(digest);
    return places?.reduce((best, place) => (Math.abs(place - near) < Math.abs(best - near) ? place : best));
  }

  protected keep(start: number, photos: readonly Shown[]): void {
    photos.forEach((photo, at) => {
      this.photos.set(start + at, photo);
      const places = this.positions.get(photo.digest);
      if (places) places.push(start + at);
      else this.positions.set(photo.digest, [start + at]);
    });
    this.known.value += photos.length;
  }

  protected failed(error: unknown): void {
    if (isAbort(error) || this.control.signal.aborted) return;
    this.error.value = error instanceof ApiError ? error : new ApiError(0, "", String(error));
    this.loading.value = false;
  }

  abstract need(first: number, last: number): void;

  stop(): void {
    this.control.abort();
  }
}

/** All photos that meet a condition. Their shapes come first, so that any place can be scrolled to. */
class All extends Base {
  readonly kind = "all";
  private readonly asked = new Set<number>();
  private wanted: number[] = [];
  private running = 0;
  private state = "";

  constructor(private readonly order: Order) {
    super();
    api.layout(order, this.control.signal).then(
      (layout) =>
        batch(() => {
          this.state = layout.state;
          this.total.value = layout.total;
          this.aspects.value = layout.aspects;
          this.loading.value = false;
        }),
      (error: unknown) => this.failed(error),
    );
    this.want(0);
  }

  need(first: number, last: number): void {
    this.wanted = [];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) this.want(page);
  }

  private want(page: number): void {
    if (!this.asked.has(page)) this.wanted.push(page);
    this.next();
  }

  private next(): void {
    while (this.running < AT_ONCE && this.wanted.length && !this.control.signal.aborted) {
      const page = this.wanted.shift() as number;
      if (this.asked.has(page)) continue;
      this.asked.add(page);
      this.running += 1;
      api.photos(this.order, page * PAGE, PAGE, this.control.signal).then(
        (given) => {
          this.keep(page * PAGE, given.photos);
          if (this.state && given.state !== this.state) renewSoon(); // the library has changed: other photos lie at these places
        },
        (error: unknown) => {
          this.asked.delete(page);
          this.failed(error);
        },
      ).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }
}

let renewedAt = 0;

/** Ask all again, but not more often than every few seconds: while an index job runs, the library changes all the time. */
function renewSoon(): void {
  if (Date.now() - renewedAt < 5_000) return;
  renewedAt = Date.now();
  renewed.value += 1;
}

/** The hits of a search, the best first. */
export class Hits extends Base {
  readonly kind = "hits";
  readonly answer = signal<SearchGiven | null>(null);
  private readonly verdicts = signal<readonly boolean[]>([]);
  /** How many hits are matches; null while others may follow in what was not got yet. */
  readonly matches = computed(() => {
    const found = this.verdicts.value;
    const known = found.length >= this.total.value || (this.ranked && found.at(-1) === false);
    return known ? found.filter(Boolean).length : null;
  });
  override readonly parted = computed(() => {
    const first = this.verdicts.value.indexOf(false);
    return this.ranked && first > 0 && !this.verdicts.value.includes(true, first) ? first : 0;
  });
  private readonly ranked: boolean;
  private cursor: string | null = null;
  private busy = false;

  constructor(private readonly asked: Query) {
    super();
    this.ranked = !asked.sort && !asked.diverse;
    void this.more();
  }

  need(_first: number, last: number): void {
    if (this.cursor !== null && last > this.aspects.value.length - 60) void this.more();
  }

  private async more(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const { asked, files } = requestOf(this.asked);
      const given = await api.search({ ...asked, limit: PAGE, ...(this.cursor ? { cursor: this.cursor } : {}) }, files, this.control.signal);
      const start = this.aspects.value.length;
      batch(() => {
        this.keep(start, given.hits);
        this.verdicts.value = [...this.verdicts.value, ...given.hits.map((hit) => hit.verdict !== "none")];
        this.cursor = given.next ?? null;
        this.aspects.value = [...Array.from(this.aspects.value), ...given.hits.map((hit) => Math.round((100 * hit.width) / hit.height))];
        this.total.value = given.total;
        if (start === 0) this.answer.value = given;
        this.loading.value = false;
      });
    } catch (error) {
      this.failed(error);
    }
    this.busy = false;
  }
}

/** Raised when the library has changed, or after an error, so that all is asked again. */
export const renewed = signal(0);

function orderOf(asked: Query): Order {
  const sorts: Record<string, [string, string]> = {
    "": ["date", "desc"], oldest: ["date", "asc"], path: ["path", "asc"], quality: ["quality", "desc"], rating: ["rating", "desc"],
  };
  const [sort, order] = sorts[asked.sort] ?? ["date", "desc"];
  return { where: conditionOf(asked) || undefined, sort, order };
}

/** What tells one listing from another. */
const key = computed(() => {
  const now = query.value;
  return `${renewed.value} ${JSON.stringify(asks(now) ? [requestOf(now).asked, now.terms] : orderOf(now))}`;
});

export const listing = signal<Listing | null>(null);
/** What was shown before, kept on the screen until the first hits of the next answer come. */
export const shownBefore = signal<Listing | null>(null);

/** Keep `listing` at what the address asks for, from now on. Requests of an earlier one are given up. */
export function follow(): void {
  effect(() => {
    void key.value;
    untracked(() => {
      const now = query.value;
      const last = listing.value;
      last?.stop();
      if (last && !last.loading.value && !last.error.value) shownBefore.value = last;
      listing.value = asks(now) ? new Hits(now) : new All(orderOf(now));
    });
  });
}
