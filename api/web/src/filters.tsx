/** What the photos are narrowed down by; each filter is a part of one condition, which is shown and can be edited. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icons";
import { facets } from "./library";
import { change, changeFilters, conditionOf, filtersSet, NO_FILTERS, query, type Span } from "./query";
import type { Count } from "./schemas";
import { count, percent, s } from "./strings";

export const filtersOpen = signal(false);

export function Filters() {
  const now = query.value;
  const { filters } = now;
  const given = facets.value;
  const [low, high] = given?.taken ?? ["", ""];
  const toggled = (list: readonly string[], value: string) => (list.includes(value) ? list.filter((other) => other !== value) : [...list, value]);
  return (
    <aside class="filters" id="filters" aria-label={s.filters}>
      <header>
        <h2>{s.filters}</h2>
        {filtersSet(now) ? <button class="link" type="button" onClick={() => change({ filters: NO_FILTERS, where: "" })}>{s.clearFilters}</button> : null}
        <button class="quiet" type="button" aria-label={s.close} onClick={() => (filtersOpen.value = false)}><Icon name="close" /></button>
      </header>
      <fieldset>
        <legend>{s.date}</legend>
        <div class="pair">
          <label>{s.from}<input type="date" value={filters.from} min={low.slice(0, 10)} max={high.slice(0, 10)} onChange={(event) => changeFilters({ from: event.currentTarget.value })} /></label>
          <label>{s.to}<input type="date" value={filters.to} min={low.slice(0, 10)} max={high.slice(0, 10)} onChange={(event) => changeFilters({ to: event.currentTarget.value })} /></label>
        </div>
      </fieldset>
      <Range name={s.haze} value={filters.haze} bins={given?.haze} onChange={(haze) => changeFilters({ haze })} />
      <Range name={s.quality} value={filters.quality} bins={given?.quality.some(Boolean) ? given.quality : undefined} onChange={(quality) => changeFilters({ quality })} />
      <Choice name={s.tags} counts={given?.tags} chosen={filters.tags} onToggle={(tag) => changeFilters({ tags: toggled(filters.tags, tag) })} />
      <Choice name={s.regions} counts={given?.regions} chosen={filters.regions} onToggle={(label) => changeFilters({ regions: toggled(filters.regions, label) })} />
      <Choice name={s.camera} counts={given?.cameras} chosen={filters.cameras} onToggle={(camera) => changeFilters({ cameras: toggled(filters.cameras, camera) })} />
      <Condition />
    </aside>
  );
}

function Condition() {
  const now = query.value;
  const text = conditionOf(now);
  const [edited, setEdited] = useState<string | null>(null);
  useEffect(() => setEdited(null), [text]);
  const done = () => {
    if (edited !== null && edited !== text) change({ filters: NO_FILTERS, where: edited.trim() });
  };
  return (
    <fieldset>
      <legend>{s.condition}</legend>
      <label>
        <span class="hint">{s.conditionHint}</span>
        <textarea rows={3} spellcheck={false} value={edited ?? text} placeholder={s.conditionExample} maxLength={4000} onInput={(event) => setEdited(event.currentTarget.value)}
          onBlur={done} onKeyDown={(event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); done(); } }} />
      </label>
    </fieldset>
  );
}

function Range({ name, value, bins, onChange }: { name: string; value: Span; bins: readonly number[] | undefined; onChange: (value: Span) => void }) {
  const [low, high] = value;
  if (!bins) return null;
  const most = Math.max(...bins, 1);
  const put = (which: 0 | 1, to: number) => onChange(which === 0 ? [Math.min(to, high), high] : [low, Math.max(to, low)]);
  return (
    <fieldset>
      <legend>{name} <output>{low > 0 || high < 1 ? `${percent(low)} – ${percent(high)}` : ""}</output></legend>
      <div class="range">
        <div class="bars" aria-hidden="true">
          {bins.map((many, at) => (
            <i key={at} class={at / 10 >= low - 0.001 && (at + 1) / 10 <= high + 0.001 ? "in" : ""} style={{ height: `${many ? 6 + (94 * many) / most : 0}%` }} title={count(many)} />
          ))}
        </div>
        <input type="range" min="0" max="1" step="0.1" value={low} aria-label={`${name}, ${s.low}`} onChange={(event) => put(0, Number(event.currentTarget.value))} />
        <input type="range" min="0" max="1" step="0.1" value={high} aria-label={`${name}, ${s.high}`} onChange={(event) => put(1, Number(event.currentTarget.value))} />
      </div>
    </fieldset>
  );
}

const FIRST = 8;

function Choice({ name, counts, chosen, onToggle }: { name: string; counts: readonly Count[] | undefined; chosen: readonly string[]; onToggle: (value: string) => void }) {
  const [all, setAll] = useState(false);
  const missing = chosen.filter((value) => !counts?.some((entry) => entry.value === value)).map((value) => ({ value, photos: -1 }));
  const list = [...missing, ...(counts ?? [])];
  if (!list.length) return null;
  const shown = all ? list : list.filter((entry, at) => at < FIRST || chosen.includes(entry.value));
  return (
    <fieldset>
      <legend>{name}</legend>
      <div class="choices">
        {shown.map((entry) => (
          <label key={entry.value} class={chosen.includes(entry.value) ? "on" : ""}>
            <input type="checkbox" checked={chosen.includes(entry.value)} onChange={() => onToggle(entry.value)} />
            <span>{entry.value}</span>
            {entry.photos >= 0 ? <small>{count(entry.photos)}</small> : null}
          </label>
        ))}
      </div>
      {list.length > shown.length ? <button class="link" type="button" onClick={() => setAll(true)}>{s.more} ({count(list.length - shown.length)})</button> : null}
    </fieldset>
  );
}
