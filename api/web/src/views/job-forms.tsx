/** Forms that start a job. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { api } from "../api";
import { may, stats } from "../library";
import { tellError } from "../notes";
import { go } from "../place";
import { conditionOf, query } from "../query";
import { s } from "../strings";

const VOCABULARIES = ["photo", "objects", "scenes", "activities", "attributes", "weather"];
const FORMATS = ["coco", "coco-rle", "yolo", "yolo-segments", "voc", "label-studio", "cvat", "csv", "jsonl", "parquet", "fiftyone"];

type Job = Parameters<typeof api.start>[0];

async function start(job: Job): Promise<void> {
  try {
    const made = await api.start(job);
    go(`/jobs/${made.id}`);
  } catch (error) {
    tellError(error);
  }
}

function Form({ job, children }: { job: () => Job; children: ComponentChildren }) {
  const busy = useSignal(false);
  return (
    <form class="job-form" onSubmit={(event) => { event.preventDefault(); busy.value = true; void start(job()).finally(() => (busy.value = false)); }}>
      {children}
      <button class="button primary" type="submit" disabled={busy.value}>{s.start}</button>
    </form>
  );
}

const clean = (text: string) => text.trim() || null;

export function IndexForm() {
  const folder = useSignal("");
  const regions = useSignal(false);
  const dry = useSignal(false);
  const roots = stats.value?.allowed_roots ?? [];
  const job = (): Job => ({
    kind: "index",
    options: { roots: folder.value.trim() ? [folder.value.trim()] : [], ...(regions.value ? { regions: "proposals" } : {}), dry_run: dry.value },
  });
  return (
    <Form job={job}>
      {roots.length ? (
        <label>{s.folder}
          <input name="folder" list="roots" value={folder.value} autocomplete="off" spellcheck={false} placeholder={roots[0]} onInput={(event) => (folder.value = event.currentTarget.value)} />
          <datalist id="roots">{roots.map((root) => <option key={root} value={root} />)}</datalist>
          <span class="hint">{s.folderHint} {roots.map((root, at) => <span key={root}>{at ? ", " : ""}<button class="link" type="button" onClick={() => (folder.value = root)}>{root}</button></span>)}. {stats.value?.photos ? s.allKnown : ""}</span>
        </label>
      ) : <p class="hint">{s.folderNone}</p>}
      <label class="tick"><input type="checkbox" checked={regions.value} onChange={(event) => (regions.value = event.currentTarget.checked)} />{s.findRegions}</label>
      <label class="tick"><input type="checkbox" checked={dry.value} onChange={(event) => (dry.value = event.currentTarget.checked)} />{s.tryOnly}</label>
    </Form>
  );
}

function Where({ value, onInput }: { value: string; onInput: (value: string) => void }) {
  return <label>{s.whereOptional}<input value={value} spellcheck={false} placeholder={s.conditionExample} maxLength={4000} onInput={(event) => onInput(event.currentTarget.value)} /></label>;
}

export function TagForm() {
  const vocabulary = useSignal("photo");
  const words = useSignal("");
  const precision = useSignal(0.5);
  const where = useSignal(conditionOf(query.value));
  const dry = useSignal(false);
  const job = (): Job => {
    const labels = words.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return {
      kind: "tag",
      options: { ...(labels.length ? { labels } : { vocabulary: vocabulary.value }), precision: precision.value, where: clean(where.value), dry_run: dry.value },
    };
  };
  return (
    <Form job={job}>
      <label>{s.vocabulary}<select value={vocabulary.value} onChange={(event) => (vocabulary.value = event.currentTarget.value)}>{VOCABULARIES.map((name) => <option key={name}>{name}</option>)}</select></label>
      <label>{s.ownWords}<textarea rows={3} value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} /></label>
      <label>{s.minimumPrecision} <output>{Math.round(precision.value * 100)} %</output><input type="range" min="0" max="1" step="0.05" value={precision.value} onInput={(event) => (precision.value = Number(event.currentTarget.value))} /></label>
      <Where value={where.value} onInput={(value) => (where.value = value)} />
      <label class="tick"><input type="checkbox" checked={dry.value} onChange={(event) => (dry.value = event.currentTarget.checked)} />{s.tryOnly}</label>
    </Form>
  );
}

export function ScoreForm() {
  const again = useSignal(false);
  const where = useSignal("");
  return (
    <Form job={() => ({ kind: "score", options: { where: clean(where.value), again: again.value } })}>
      <Where value={where.value} onInput={(value) => (where.value = value)} />
      <label class="tick"><input type="checkbox" checked={again.value} onChange={(event) => (again.value = event.currentTarget.checked)} />{s.scoreAgain}</label>
    </Form>
  );
}

export function ExportForm() {
  const format = useSignal("coco");
  const where = useSignal(conditionOf(query.value));
  return (
    <Form job={() => ({ kind: "export", options: { format: format.value, where: clean(where.value) } })}>
      <label>{s.exportFormat}<select value={format.value} onChange={(event) => (format.value = event.currentTarget.value)}>{FORMATS.map((name) => <option key={name}>{name}</option>)}</select></label>
      <Where value={where.value} onInput={(value) => (where.value = value)} />
    </Form>
  );
}

export function DehazeForm() {
  const where = useSignal("haze > 0.3");
  return (
    <Form job={() => ({ kind: "dehaze-batch", options: { where: clean(where.value) } })}>
      <Where value={where.value} onInput={(value) => (where.value = value)} />
    </Form>
  );
}

export const FORMS = [
  ["index", IndexForm, () => may("admin")],
  ["tag", TagForm, () => may("tag")],
  ["score", ScoreForm, () => may("tag")],
  ["export", ExportForm, () => may("admin")],
  ["dehaze-batch", DehazeForm, () => may("admin")],
] as const;
