/** One photo of the gallery. */
import { memo } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";
import { picture, thumbnailSize } from "./api";
import { Icon } from "./icons";
import type { Shown } from "./listing";
import { photoLink } from "./place";
import { moreLike } from "./query";
import type { HitGiven } from "./schemas";
import { describe, nameOf, percent, s } from "./strings";

interface TileProps {
  at: number;
  total: number;
  photo: Shown | undefined;
  width: number;
  height: number;
  still: boolean;
  focusable: boolean;
  onFocus: () => void;
}

export const isHit = (photo: Shown): photo is HitGiven => "probability" in photo;

function TileView({ at, total, photo, width, height, still, focusable, onFocus }: TileProps) {
  const hit = photo && isHit(photo) ? photo : null;
  // One link whether the photo is known yet or not, so that it keeps the focus when the photo comes.
  return (
    <div class={`tile${hit?.verdict === "none" ? " unlikely" : ""}`} role="listitem" aria-posinset={at + 1} aria-setsize={total} style={{ width, height }}>
      <a href={photo && photoLink(photo.digest)} data-at={at} tabIndex={focusable ? 0 : -1} onFocus={onFocus} aria-label={photo ? describe(photo) : s.loading} role={photo ? undefined : "link"}>
        {photo ? <Thumbnail key={photo.digest} digest={photo.digest} side={Math.max(width, height)} still={still} /> : null}
        {hit?.region && hit.matched === "region" ? <RegionMark hit={hit} /> : null}
        {hit ? <i class={`dot ${hit.verdict}`} aria-hidden="true" /> : null}
        {photo ? (
          <span class="caption">
            <span class="name">{nameOf(photo.path)}</span>
            {hit ? <span class={`chance ${hit.verdict}`}>{percent(hit.probability)}</span> : null}
          </span>
        ) : null}
      </a>
      {photo ? (
        <button class="like" type="button" tabIndex={-1} title={s.moreLike} aria-label={s.moreLikeOf(nameOf(photo.path))} onClick={() => moreLike(photo.digest)}>
          <Icon name="like" />
        </button>
      ) : null}
    </div>
  );
}

/** The matched part of a photo, as a thin frame at its place. */
function RegionMark({ hit }: { hit: HitGiven }) {
  const [x1, y1, x2, y2] = hit.region?.box_xyxy ?? [0, 0, 0, 0];
  return (
    <svg class="mark" viewBox={`0 0 ${hit.width} ${hit.height}`} preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <rect x={x1} y={y1} width={x2 - x1} height={y2 - y1} rx={hit.width / 100} />
    </svg>
  );
}

const TRIES = 3;
const AGAIN_MS = 1_500;

export function Thumbnail({ digest, side, still = true, alt = "" }: { digest: string; side: number; still?: boolean; alt?: string }) {
  const [state, setState] = useState<"" | "there" | "broken">("");
  const [begun, setBegun] = useState(still);
  const [tried, setTried] = useState(0);
  const waiting = useRef(0);
  useEffect(() => () => clearTimeout(waiting.current), []);
  if (still && !begun) setBegun(true);
  if (!begun) return null;
  if (state === "broken") return <span class="broken" title={s.noPicture}><Icon name="broken" /></span>;
  const size = thumbnailSize(side);
  const failed = () => {
    if (tried + 1 < TRIES) waiting.current = window.setTimeout(() => setTried(tried + 1), AGAIN_MS * (tried + 1)); // the service may have been busy
    else setState("broken");
  };
  return (
    <>
      {size === 640 && state !== "there" ? <img class="early there" src={picture.thumbnail(digest, 160)} alt="" /> : null}
      <img
        key={tried} class={state} src={picture.thumbnail(digest, size)} alt={alt} decoding="async" draggable={false}
        onLoad={() => setState("there")} onError={failed}
      />
    </>
  );
}

export const Tile = memo(TileView, (before, after) =>
  before.photo === after.photo && before.width === after.width && before.height === after.height && before.still === after.still &&
  before.focusable === after.focusable && before.total === after.total && before.at === after.at,
);
