/** The photo as large as there is room, its regions over it, and the dehazed version beside it. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { picture } from "./api";
import type { Shown } from "./listing";
import type { ImageGiven, RegionGiven } from "./schemas";
import { s } from "./strings";

interface StageProps {
  digest: string;
  image: ImageGiven | null;
  known: Shown | undefined;
  regions: boolean;
  marked: number | null;
  compare: boolean;
  onMark: (number: number | null) => void;
  onReady: () => void;
}

/** What proposals are labelled with that nobody has named. */
export const UNNAMED = "part";
/** With more named regions than this, a label shows only where somebody points. */
const LABELLED = 6;

export function Stage({ digest, image, known, regions, marked, compare, onMark, onReady }: StageProps) {
  const box = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState<readonly [number, number]>([0, 0]);
  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const measure = () => setRoom([element.clientWidth, element.clientHeight]);
    const sized = new ResizeObserver(measure);
    sized.observe(element);
    measure();
    return () => sized.disconnect();
  }, []);
  const shape = image ?? known;
  const scale = shape ? Math.min(room[0] / shape.width, room[1] / shape.height) : 0;
  const size = shape ? { width: shape.width * scale, height: shape.height * scale } : {};
  return (
    <div class="stage" ref={box}>
      {shape && scale > 0 ? (
        <div class="frame" style={size} key={digest}>
          <img class="blurred" src={picture.thumbnail(digest, 320)} alt="" />
          <Preview digest={digest} alt={image?.tags.length ? image.tags.map((tag) => tag.tag).join(", ") : (shape.path ?? "")} onReady={onReady} />
          {compare && image ? <Compare digest={digest} /> : null}
          {regions && image && !compare ? <Regions image={image} scale={scale} marked={marked} onMark={onMark} /> : null}
        </div>
      ) : null}
    </div>
  );
}

function Preview({ digest, alt, onReady }: { digest: string; alt: string; onReady: () => void }) {
  const [state, setState] = useState("");
  if (state === "broken") return <p class="broken">{s.noPicture}</p>;
  return <img class={`preview ${state}`} src={picture.preview(digest)} alt={alt} decoding="async" onLoad={() => (setState("there"), onReady())} onError={() => setState("broken")} />;
}

interface RegionsProps {
  image: ImageGiven;
  scale: number;
  marked: number | null;
  onMark: (number: number | null) => void;
}

/** The boxes and outlines are drawn in the photo's own pixels, so that they lie right at any size. */
function Regions({ image, scale, marked, onMark }: RegionsProps) {
  const look = (region: RegionGiven) => (region.number === marked ? "marked" : region.label === UNNAMED ? "part" : few ? "named" : "");
  const few = image.regions.filter((region) => region.label !== UNNAMED).length <= LABELLED;
  const ordered = [...image.regions].sort((a, b) => Number(a.number === marked) - Number(b.number === marked) || b.area - a.area);
  return (
    <svg class={`regions${marked === null ? "" : " one"}`} viewBox={`0 0 ${image.width} ${image.height}`} role="img" aria-label={image.regions.map((region) => region.label).join(", ")}>
      {ordered.map((region) => <Outline key={region.number} region={region} width={image.width} scale={scale} look={look(region)} onMark={() => onMark(region.number === marked ? null : region.number)} />)}
    </svg>
  );
}

function Outline({ region, width, scale, look, onMark }: { region: RegionGiven; width: number; scale: number; look: string; onMark: () => void }) {
  const [x1, y1, x2, y2] = region.box_xyxy;
  const pixel = 1 / scale;
  const text = 12 * pixel;
  const wide = region.label.length * text * 0.66 + 10 * pixel;
  const points = (outline: readonly number[]) => {
    const pairs: string[] = [];
    for (let at = 0; at + 1 < outline.length; at += 2) pairs.push(`${outline[at]},${outline[at + 1]}`);
    return pairs.join(" ");
  };
  return (
    <g class={look} data-region={region.number} onClick={onMark}>
      {(region.polygons ?? []).map((outline, at) => <polygon key={at} points={points(outline)} />)}
      <rect x={x1} y={y1} width={x2 - x1} height={y2 - y1} />
      <g class="label" transform={`translate(${Math.max(0, Math.min(x1, width - wide))} ${Math.max(y1, 0)})`}>
        <rect class="plate" width={wide} height={text * 1.5} />
        <text x={5 * pixel} y={text * 1.08} font-size={text}>{region.label}</text>
      </g>
    </g>
  );
}

function Compare({ digest }: { digest: string }) {
  const [at, setAt] = useState(50);
  return (
    <div class="compare" dir="ltr">
      <img src={picture.preview(digest, "dehazed")} alt={s.dehazed} style={{ clipPath: `inset(0 0 0 ${at}%)` }} />
      <i class="line" style={{ left: `${at}%` }} aria-hidden="true" />
      <span class="side before" aria-hidden="true">{s.asTaken}</span>
      <span class="side after" aria-hidden="true">{s.dehazed}</span>
      <input type="range" min="0" max="100" step="0.5" value={at} aria-label={s.compareHandle} onInput={(event) => setAt(Number(event.currentTarget.value))} />
    </div>
  );
}
