/** Where a photo lies, when it was taken and how. */
import type { ComponentChildren } from "preact";
import { to } from "./place";
import type { HitGiven, ImageGiven } from "./schemas";
import { bytes, count, momentOf, nameOf, percent, s } from "./strings";

/** Paths go on in the next line behind a slash rather than within a name. */
const breakable = (path: string) => path.split(/(?<=\/)/).map((part, at) => [at ? <wbr key={at} /> : null, part]);

export function Facts({ image, hit }: { image: ImageGiven; hit: HitGiven | null }) {
  const facts = image.facts ?? {};
  const number = (name: string) => (typeof facts[name] === "number" ? (facts[name] as number) : null);
  const text = (name: string) => (typeof facts[name] === "string" ? (facts[name] as string) : null);
  const [exposure, aperture, iso, focal] = [number("exposure_s"), number("f_number"), number("iso"), number("focal_length_mm")];
  const shot = [
    exposure ? (exposure < 0.4 ? `1/${Math.round(1 / exposure)} s` : `${exposure} s`) : null,
    aperture ? `f/${aperture}` : null, iso ? `ISO ${iso}` : null, focal ? `${focal} mm` : null,
  ].filter(Boolean).join(" · ");
  const [latitude, longitude] = [number("latitude"), number("longitude")];
  const size = number("byte_size");
  const haze = number("haze");
  const rows: [string, ComponentChildren][] = [
    [s.taken, image.taken_at ? momentOf(image.taken_at) : null],
    [s.camera, text("camera")],
    [s.lens, text("lens")],
    [s.exposure, shot || null],
    [s.size, `${count(image.width)} × ${count(image.height)} · ${((image.width * image.height) / 1e6).toFixed(1)} MP${size ? ` · ${bytes(size)}` : ""}${text("format") ? ` · ${text("format")}` : ""}`],
    [s.hazeDensity, haze === null ? null : <>{percent(haze)}{image.dehazed ? ` · ${s.dehazed.toLowerCase()}: ${image.dehazed}` : ""}</>],
    [s.place, latitude === null || longitude === null ? null : <a href={to(`/map?at=${latitude.toFixed(5)},${longitude.toFixed(5)}`)}>{latitude.toFixed(4)}°, {longitude.toFixed(4)}°</a>],
    [s.keywords, text("keywords")],
  ];
  return (
    <section>
      <h2 class="title">{nameOf(image.path)}</h2>
      {hit ? (
        <p class="match">
          <span class={`verdict ${hit.verdict}`}><i aria-hidden="true" />{s.verdicts[hit.verdict]}</span> {percent(hit.probability)}
          {hit.matched === "region" && hit.region ? <> · {s.matchedRegion(hit.region.label)}</> : null}
          {hit.enhancer !== "none" ? <> · {s.dehazed.toLowerCase()}</> : null}
        </p>
      ) : null}
      <dl class="facts">
        {rows.map(([name, value]) => (value ? <div key={name}><dt>{name}</dt><dd>{value}</dd></div> : null))}
        <div>
          <dt>{image.places.length > 1 ? s.copies(image.places.length) : s.file}</dt>
          <dd class="places">
            {image.places.map((where) => (
              <span key={where.root + where.path} class={where.there ? "" : "gone"}>{breakable(`${where.root}/${where.path}`)}{where.there ? "" : ` (${s.missing})`}</span>
            ))}
          </dd>
        </div>
      </dl>
    </section>
  );
}
