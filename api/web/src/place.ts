/** Where the page is: its address, as a signal. All that is shown follows from it, so that links, back and forward work. */
import { signal } from "@preact/signals";

/** The path below which the service is reached, without a slash at its end. */
export const ROOT = (document.querySelector<HTMLMetaElement>('meta[name="pellucid-root"]')?.content ?? "").replace(/^\.?\/+$|\/+$/g, "");

/** An address of the service as the browser needs it. */
export const to = (path: string) => ROOT + path;

export interface Place {
  readonly path: string;
  readonly search: string;
  /** The view below an open photo. */
  readonly under: string;
  /** How many steps back the view lies from which the photo was opened; 0 where it was opened by its address. */
  readonly depth: number;
  /** Whether it was come to by going back or forward. */
  readonly again: boolean;
}

interface Kept {
  under?: string;
  depth?: number;
}

function read(again = false): Place {
  const kept = (history.state ?? {}) as Kept;
  const path = location.pathname.startsWith(`${ROOT}/`) ? location.pathname.slice(ROOT.length) : "/";
  return { path, search: location.search, under: path.startsWith("/photo/") ? (kept.under ?? "/") : path, depth: kept.depth ?? 0, again };
}

export const place = signal<Place>(read());

history.scrollRestoration = "manual"; // the gallery is higher than it is at first
addEventListener("popstate", () => {
  place.value = read(true);
});

export function go(href: string, options: { replace?: boolean; kept?: Kept } = {}): void {
  const kept = options.kept ?? {};
  if (options.replace) history.replaceState(kept, "", to(href));
  else history.pushState(kept, "", to(href));
  place.value = read();
}

export function photoHref(digest: string): string {
  return `/photo/${digest}${place.value.search}`;
}

/** The same, as the `href` of a link. */
export const photoLink = (digest: string) => to(photoHref(digest));

/** Open a photo over what is shown now; from an open photo, `instead` of it or as one step more. */
export function openPhoto(digest: string, instead = false): void {
  const now = place.value;
  const replace = instead && now.path.startsWith("/photo/");
  go(photoHref(digest), { replace, kept: { under: now.under, depth: replace ? now.depth : now.path.startsWith("/photo/") && !now.depth ? 0 : now.depth + 1 } });
}

export function closePhoto(): void {
  const now = place.value;
  if (now.depth) history.go(-now.depth);
  else go(now.under + now.search, { replace: true });
}

/** Follow links of this page without loading it again; leave all others to the browser. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin || !link.pathname.startsWith(`${ROOT}/`)) return;
  const path = link.pathname.slice(ROOT.length);
  if (path.startsWith("/v1/")) return;
  event.preventDefault();
  const opened = /^\/photo\/([^/]+)$/.exec(path);
  if (opened?.[1]) openPhoto(opened[1]);
  else {
    go(path + link.search);
    scrollTo(0, 0);
  }
}
