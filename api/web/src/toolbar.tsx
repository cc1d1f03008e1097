/** The line above the photos: what was found and how sure that is, how strict, in what order. */
import { useEffect, useState } from "preact/hooks";
import { filtersOpen } from "./filters";
import { Icon } from "./icons";
import { Hits, listing } from "./listing";
import { asks, change, filtersSet, query } from "./query";
import { count, s } from "./strings";

export function Toolbar() {
  const now = query.value;
  const searching = asks(now);
  const set = filtersSet(now);
  return (
    <div class="toolbar">
      <div class="summary" aria-live="polite" aria-atomic="true">{searching ? <Sentence /> : <Total />}</div>
      <div class="controls">
        {searching ? <Strictness /> : null}
        {searching ? (
          <>
            <Select name={s.within} value={now.within} options={s.withins} onChange={(within) => change({ within: within as typeof now.within })} />
            <Toggle name={s.diverse} hint={s.diverseHint} on={now.diverse} onChange={(diverse) => change({ diverse })} />
            <Toggle name={s.collapse} hint={s.collapseHint} on={now.collapse} onChange={(collapse) => change({ collapse })} />
          </>
        ) : null}
        <Select name={s.sort} value={now.sort in (searching ? s.sortsHits : s.sortsAll) ? now.sort : ""} options={searching ? s.sortsHits : s.sortsAll} onChange={(sort) => change({ sort })} />
        <button class={`button plain${filtersOpen.value || set ? " on" : ""}`} type="button" aria-expanded={filtersOpen.value} aria-controls="filters" onClick={() => (filtersOpen.value = !filtersOpen.value)}>
          <Icon name="filter" /><span>{s.filters}</span>{set ? <b class="badge" aria-label={s.filtersSet(set)}>{set}</b> : null}
        </button>
      </div>
    </div>
  );
}

function Total() {
  const shown = listing.value;
  return shown && !shown.loading.value && !shown.error.value ? <span class="total">{s.photos(shown.total.value)}</span> : null;
}

function Sentence() {
  const shown = listing.value;
  const answer = shown instanceof Hits ? shown.answer.value : null;
  const matches = shown instanceof Hits ? shown.matches.value : null;
  if (!answer) return shown?.error.value ? null : <span class="total">{s.loading} …</span>;
  return (
    <>
      <span class={`verdict ${answer.verdict}`} title={answer.why ?? undefined}>
        <i aria-hidden="true" />{s.verdictTitles[answer.verdict]}
      </span>
      {answer.hits.length ? (
        <span class="why" title={answer.why ?? undefined}>
          {matches === null ? s.hits(answer.total) : s.matches(matches, answer.total - matches)} · {s.howSure(answer.probability)}
        </span>
      ) : null}
    </>
  );
}

function Strictness() {
  const given = query.value.strictness;
  const [value, setValue] = useState(given);
  useEffect(() => setValue(given), [given]);
  useEffect(() => {
    if (value === given) return;
    const timer = setTimeout(() => change({ strictness: value }, { replace: true }), 200);
    return () => clearTimeout(timer);
  }, [value]);
  return (
    <label class="strictness" title={s.strictnessHint}>
      <span>{s.strictness}</span>
      <input type="range" min="0" max="100" step="5" value={value} aria-valuetext={count(value)} onInput={(event) => setValue(Number(event.currentTarget.value))} />
      <output>{value}</output>
    </label>
  );
}

interface SelectProps {
  name: string;
  value: string;
  options: Readonly<Record<string, string>>;
  onChange: (value: string) => void;
}

export function Select({ name, value, options, onChange }: SelectProps) {
  return (
    <label class="select">
      <span class="unseen">{name}</span>
      <select value={value} title={name} onChange={(event) => onChange(event.currentTarget.value)}>
        {Object.entries(options).map(([key, words]) => <option key={key} value={key}>{words}</option>)}
      </select>
    </label>
  );
}

function Toggle({ name, hint, on, onChange }: { name: string; hint: string; on: boolean; onChange: (on: boolean) => void }) {
  return <button class={`button plain${on ? " on" : ""}`} type="button" aria-pressed={on} title={hint} onClick={() => onChange(!on)}>{name}</button>;
}
