/** What is asked for: words, terms, negatives, filters, order; to and from the address, and to a request. */
import { computed } from "@preact/signals";
import { go, place } from "./place";
import type { SearchAsked, TermAsked } from "./schemas";

export type Kind = "text" | "image" | "upload";

export interface Term {
  readonly kind: Kind;
  readonly value: string;
  readonly weight: number;
}

export type Span = readonly [number, number];

export interface Filters {
  readonly from: string;
  readonly to: string;
  readonly cameras: readonly string[];
  readonly haze: Span;
  readonly quality: Span;
  readonly tags: readonly string[];
  readonly regions: readonly string[];
}

export interface Query {
  readonly words: string;
  readonly terms: readonly Term[];
  readonly without: readonly string[];
  readonly filters: Filters;
  readonly where: string;
  readonly strictness: number;
  readonly sort: string;
  readonly within: "" | "images" | "regions" | "both";
  readonly diverse: boolean;
  readonly collapse: boolean;
}

const ALL: Span = [0, 1];
export const NO_FILTERS: Filters = { from: "", to: "", cameras: [], haze: ALL, quality: ALL, tags: [], regions: [] };
export const NO_QUERY: Query = {
  words: "", terms: [], without: [], filters: NO_FILTERS, where: "", strictness: 50, sort: "", within: "", diverse: false, collapse: false,
};

function span(text: string | null): Span {
  const [low, high] = (text ?? "").split("-").map(Number);
  if (low === undefined || high === undefined || !(low >= 0 && high <= 1 && low <= high)) return ALL;
  return [low, high];
}

function term(text: string): Term | null {
  const found = /^(-?[\d.]+)\*(text|image|upload):(.+)$/s.exec(text);
  if (!found) return null;
  const weight = Number(found[1]);
  const valid = Number.isFinite(weight) && weight !== 0 && Math.abs(weight) <= 100;
  return valid ? { kind: found[2] as Kind, value: found[3] as string, weight } : null;
}

export function parse(search: string): Query {
  const given = new URLSearchParams(search);
  const within = given.get("in") ?? "";
  const strictness = Number(given.get("strict") ?? 50);
  return {
    words: given.get("q") ?? "",
    terms: given.getAll("t").map(term).filter((entry) => entry !== null),
    without: given.getAll("not").filter(Boolean),
    filters: {
      from: given.get("from") ?? "",
      to: given.get("to") ?? "",
      cameras: given.getAll("camera"),
      haze: span(given.get("haze")),
      quality: span(given.get("quality")),
      tags: given.getAll("tag"),
      regions: given.getAll("region"),
    },
    where: given.get("where") ?? "",
    strictness: Number.isInteger(strictness) && strictness >= 0 && strictness <= 100 ? strictness : 50,
    sort: given.get("sort") ?? "",
    within: within === "images" || within === "regions" || within === "both" ? within : "",
    diverse: given.has("diverse"),
    collapse: given.has("collapse"),
  };
}

export function format(query: Query): string {
  const made = new URLSearchParams();
  const set = (name: string, value: string) => value && made.set(name, value);
  const { filters } = query;
  set("q", query.words);
  for (const entry of query.terms) made.append("t", `${entry.weight}*${entry.kind}:${entry.value}`);
  for (const entry of query.without) made.append("not", entry);
  set("from", filters.from);
  set("to", filters.to);
  for (const entry of filters.cameras) made.append("camera", entry);
  if (!whole(filters.haze)) made.set("haze", filters.haze.join("-"));
  if (!whole(filters.quality)) made.set("quality", filters.quality.join("-"));
  for (const entry of filters.tags) made.append("tag", entry);
  for (const entry of filters.regions) made.append("region", entry);
  set("where", query.where);
  if (query.strictness !== 50) made.set("strict", String(query.strictness));
  set("sort", query.sort);
  set("in", query.within);
  if (query.diverse) made.set("diverse", "1");
  if (query.collapse) made.set("collapse", "1");
  const text = made.toString();
  return text ? `?${text}` : "";
}

export const whole = (given: Span) => given[0] <= 0 && given[1] >= 1;

export const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The condition that the filters say, in the words of `--where`. */
export function conditionOf(query: Query): string {
  const { from, to, cameras, haze, quality, tags, regions } = query.filters;
  const parts: string[] = [];
  const range = (name: string, [low, high]: Span) => {
    if (low > 0) parts.push(`${name} >= ${low}`);
    if (high < 1) parts.push(`${name} <= ${high}`);
  };
  if (from) parts.push(`taken_at >= ${quoted(from)}`);
  if (to) parts.push(`substr(taken_at, 1, 10) <= ${quoted(to)}`);
  if (cameras.length) parts.push(`camera in (${cameras.map(quoted).join(", ")})`);
  range("haze", haze);
  range("quality", quality);
  for (const tag of tags) parts.push(`tag(${quoted(tag)})`);
  for (const label of regions) parts.push(`count(region.label = ${quoted(label)}) >= 1`);
  if (query.where.trim()) parts.push(parts.length ? `(${query.where.trim()})` : query.where.trim());
  return parts.join(" and ");
}

export function filtersSet(query: Query): number {
  const { from, to, cameras, haze, quality, tags, regions } = query.filters;
  return (
    (from || to ? 1 : 0) + (cameras.length ? 1 : 0) + (whole(haze) ? 0 : 1) + (whole(quality) ? 0 : 1) +
    tags.length + regions.length + (query.where.trim() ? 1 : 0)
  );
}

/** Pictures that were dropped, pasted or chosen here. They do not outlive the page. */
export const pictures = new Map<string, { file: File; address: string }>();

export function keepPicture(file: File): string {
  const name = `${pictures.size + 1}-${file.name || "picture"}`;
  pictures.set(name, { file, address: URL.createObjectURL(file) });
  return name;
}

const usable = (entry: Term) => entry.kind !== "upload" || pictures.has(entry.value);

/** All terms that can be asked now, the words in the field among them. */
export function termsOf(query: Query): Term[] {
  const words = query.words.trim();
  return [...(words ? [{ kind: "text" as const, value: words, weight: 1 }] : []), ...query.terms.filter(usable)];
}

export function asks(query: Query): boolean {
  return termsOf(query).length > 0;
}

export function requestOf(query: Query): { asked: SearchAsked; files: Map<string, Blob> } {
  const files = new Map<string, Blob>();
  const terms = termsOf(query).map(({ kind, value, weight }): TermAsked => {
    if (kind !== "upload") return { [kind]: value, weight };
    const name = `picture${files.size + 1}`;
    files.set(name, (pictures.get(value) as { file: File }).file);
    return { upload: name, weight };
  });
  const where = conditionOf(query);
  const sort = query.sort as SearchAsked["sort"];
  const asked: SearchAsked = {
    terms,
    strictness: query.strictness,
    ...(query.without.length ? { without: [...query.without] } : {}),
    ...(where ? { where } : {}),
    ...(query.within ? { in: query.within } : {}),
    ...(["date", "similarity", "quality"].includes(query.sort) ? { sort } : {}),
    ...(query.diverse ? { diverse: true } : {}),
    ...(query.collapse ? { collapse: true } : {}),
  };
  return { asked, files };
}

export const query = computed(() => parse(place.value.search));

/** Ask something else: the gallery is shown with it. */
export function change(part: Partial<Query>, options: { replace?: boolean } = {}): void {
  go(`/${format({ ...query.value, ...part })}`, options);
}

export function changeFilters(part: Partial<Filters>, options: { replace?: boolean } = {}): void {
  change({ filters: { ...query.value.filters, ...part } }, options);
}

/** Photos like this one, and nothing else. */
export function moreLike(digest: string): void {
  go(`/${format({ ...NO_QUERY, strictness: query.value.strictness, terms: [{ kind: "image", value: digest, weight: 1 }] })}`);
  scrollTo(0, 0);
}
