/** Scores as small bars; quality and aesthetics are axes of their own, and are never summed. */
import { may } from "./library";
import type { ImageGiven } from "./schemas";
import { percent, s } from "./strings";

const readable = (axis: string) => axis.replace(/^measured_/, "").replaceAll("_", " ");
/** Largest value of the axes that do not end at 1. */
const MOST: Record<string, number> = { measured_colourfulness: 180, measured_contrast: 0.5 };

export function Scores({ image }: { image: ImageGiven }) {
  const axes = Object.entries(image.scores);
  const judged = axes.filter(([name]) => !name.startsWith("measured_"));
  const measured = axes.filter(([name]) => name.startsWith("measured_"));
  return (
    <section class="scores">
      <h3>{s.scores}</h3>
      {judged.length ? <Bars axes={judged} /> : <p class="hint">{may("tag") ? s.noScores : s.notScored}</p>}
      {judged.length && image.score_note ? <p class="hint">{image.score_note}</p> : null}
      {measured.length ? <details><summary>{s.measured}</summary><Bars axes={measured} /></details> : null}
    </section>
  );
}

function Bars({ axes }: { axes: readonly [string, number][] }) {
  return (
    <dl>
      {axes.map(([name, value]) => {
        const share = Math.min(1, Math.max(0, value / (MOST[name] ?? 1)));
        return (
          <div key={name}>
            <dt>{readable(name)}</dt>
            <dd><i class="bar" aria-hidden="true"><i style={{ width: `${share * 100}%` }} /></i><span>{name === "measured_colourfulness" ? Math.round(value) : percent(value)}</span></dd>
          </div>
        );
      })}
    </dl>
  );
}
