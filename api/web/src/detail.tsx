/** One photo: large, with its regions, and all that is known of it. A dialog over the view that it was opened from. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { api, ApiError, picture } from "./api";
import { Facts } from "./facts";
import { Icon } from "./icons";
import { listing } from "./listing";
import { useLoaded } from "./load";
import { Failed } from "./notes";
import { closePhoto, openPhoto, photoLink, place } from "./place";
import { moreLike } from "./query";
import type { HitGiven, ImageGiven, RegionGiven } from "./schemas";
import { Scores } from "./scores";
import { Stage, UNNAMED } from "./stage";
import { nameOf, percent, s } from "./strings";
import { Tags } from "./tags";
import { isHit, Thumbnail } from "./tile";

/** The photos among which the arrows go: those of the gallery that it was opened from. */
const among = () => (place.value.under === "/" ? listing.value : null);

function neighbour(at: number | undefined, step: 1 | -1): string | undefined {
  const shown = among();
  if (!shown || at === undefined) return undefined;
  const digest = shown.at(at)?.digest;
  let next = at + step;
  while (shown.at(next)?.digest === digest && next >= 0) next += step; // copies of the same photo
  return shown.at(next)?.digest;
}

/** Keys that a field needs for itself. */
export const typingIn = (target: EventTarget | null) =>
  target instanceof HTMLElement && target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");

export function Detail({ digest }: { digest: string }) {
  const box = useRef<HTMLDialogElement>(null);
  const regions = useSignal(true);
  const compare = useSignal(false);
  const last = useRef(Number(document.activeElement?.getAttribute("data-at") ?? 0));
  const marked = useSignal<number | null>(null);
  const found = useLoaded((signal) => api.image(digest, signal), [digest]);
  const shown = among();
  void shown?.known.value;
  const at = shown?.positionOf(digest, last.current);
  if (at !== undefined) last.current = at;
  const known = at === undefined ? undefined : shown?.at(at);
  const hit = known && isHit(known) ? known : null;
  const image = found.value?.digest === digest ? found.value : null;
  const before = neighbour(at, -1);
  const after = neighbour(at, 1);

  useLayoutEffect(() => {
    const dialog = box.current as HTMLDialogElement;
    const from = document.activeElement;
    dialog.showModal();
    document.documentElement.classList.add("covered");
    return () => {
      document.documentElement.classList.remove("covered");
      dialog.close();
      const tile = document.querySelector<HTMLElement>('.grid a[tabindex="0"]');
      (from instanceof HTMLElement && from !== document.body && from.isConnected ? from : tile)?.focus({ preventScroll: true });
    };
  }, []);
  const matched = hit?.matched === "region" && hit.region ? hit.region.number : null;
  useEffect(() => {
    marked.value = matched; // the hits may come later than the photo, where it was opened by its address
  }, [digest, matched]);
  useEffect(() => {
    compare.value = false;
    if (at !== undefined) shown?.need(Math.max(0, at - 20), Math.min(shown.aspects.value.length - 1, at + 20));
    box.current?.querySelector(".info")?.scrollTo(0, 0);
  }, [digest]);
  const title = nameOf(image?.path ?? known?.path ?? s.photo);
  useEffect(() => {
    const last = document.title;
    document.title = `${title} · ${s.product}`;
    return () => void (document.title = last);
  }, [title]);

  const keys = (event: KeyboardEvent) => {
    if (typingIn(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const slides = event.target instanceof HTMLInputElement && event.target.type === "range";
    const [to, from] = document.dir === "rtl" ? [before, after] : [after, before];
    if (event.key === "ArrowRight" && !slides) to && openPhoto(to, true);
    else if (event.key === "ArrowLeft" && !slides) from && openPhoto(from, true);
    else if (event.key === "r") regions.value = !regions.value;
    else if (event.key === "d" && image?.dehazed) compare.value = !compare.value;
    else if (event.key === "m") moreLike(digest);
    else return;
    event.preventDefault();
  };

  return (
    <dialog
      ref={box} class="detail" aria-label={title} onKeyDown={keys}
      onCancel={(event) => (event.preventDefault(), closePhoto())}
      onClose={() => place.value.path.startsWith("/photo/") && closePhoto()}
    >
      <div class="stage-side">
        <Stage
          digest={digest} image={image} known={known} regions={regions.value} marked={marked.value} compare={compare.value}
          onMark={(number) => (marked.value = number)} onReady={() => after && (new Image().src = picture.preview(after))}
        />
        <div class="over top">
          <button class="round" type="button" aria-label={s.close} title={`${s.close} (Esc)`} onClick={closePhoto} autofocus><Icon name="close" /></button>
          <span class="space" />
          {image?.regions.length ? (
            <button class="round" type="button" aria-pressed={regions.value} title={`${regions.value ? s.hideRegions : s.showRegions} (r)`} aria-label={s.showRegions} onClick={() => (regions.value = !regions.value)}>
              <Icon name="regions" />
            </button>
          ) : null}
          {image?.dehazed ? (
            <button class="round" type="button" aria-pressed={compare.value} title={`${s.compareHazy} (d)`} aria-label={s.compareHazy} onClick={() => (compare.value = !compare.value)}>
              <Icon name="compare" />
            </button>
          ) : null}
          <button class="round" type="button" title={`${s.moreLike} (m)`} aria-label={s.moreLike} onClick={() => moreLike(digest)}><Icon name="like" /></button>
          <a class="round" href={picture.file(digest)} download={title} title={s.download} aria-label={s.download}><Icon name="download" /></a>
        </div>
        {before ? <button class="round go back" type="button" aria-label={s.previous} onClick={() => openPhoto(before, true)}><Icon name="left" /></button> : null}
        {after ? <button class="round go on" type="button" aria-label={s.next} onClick={() => openPhoto(after, true)}><Icon name="right" /></button> : null}
      </div>
      <div class="info" tabIndex={-1}>
        {found.error && !image ? (
          <Failed error={found.error instanceof ApiError && found.error.status === 404 ? new Error(s.photoGone) : found.error} again={found.again} />
        ) : image ? (
          <Info image={image} hit={hit} marked={marked.value} onMark={(number) => ((marked.value = number), (regions.value = true))} onChanged={found.again} />
        ) : (
          <div class="lines" aria-hidden="true">{[70, 45, 90, 60, 80, 30].map((wide) => <i key={wide} style={{ width: `${wide}%` }} />)}</div>
        )}
      </div>
    </dialog>
  );
}

interface InfoProps {
  image: ImageGiven;
  hit: HitGiven | null;
  marked: number | null;
  onMark: (number: number | null) => void;
  onChanged: () => void;
}

function Label({ region, marked, onMark }: { region: RegionGiven; marked: number | null; onMark: (number: number | null) => void }) {
  return (
    <li>
      <button type="button" aria-pressed={marked === region.number} onClick={() => onMark(marked === region.number ? null : region.number)}>
        {region.label}<small>{percent(region.confidence)}</small>
      </button>
    </li>
  );
}

function Info({ image, hit, marked, onMark, onChanged }: InfoProps) {
  const named = image.regions.filter((region) => region.label !== UNNAMED);
  const others = image.regions.filter((region) => region.label === UNNAMED);
  return (
    <>
      <Facts image={image} hit={hit} />
      <Tags image={image} onChanged={onChanged} />
      <Scores image={image} />
      {image.regions.length ? (
        <section>
          <h3>{s.regionsFound}</h3>
          <ul class="labels">
            {named.map((region) => <Label key={region.number} region={region} marked={marked} onMark={onMark} />)}
          </ul>
          {others.length ? (
            <details open={others.some((region) => region.number === marked) || !named.length}>
              <summary>{s.unnamed(others.length)}</summary>
              <ul class="labels">{others.map((region) => <Label key={region.number} region={region} marked={marked} onMark={onMark} />)}</ul>
            </details>
          ) : null}
        </section>
      ) : null}
      {image.neighbours.length ? (
        <section>
          <h3>{s.neighbours}</h3>
          <ul class="strip">
            {image.neighbours.map((near) => (
              <li key={near.digest}>
                <a href={photoLink(near.digest)} aria-label={nameOf(near.path)} title={nameOf(near.path)}>
                  <Thumbnail digest={near.digest} side={104} />
                </a>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
    </>
  );
}
