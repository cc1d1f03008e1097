/** Asking the service. Every error becomes an `ApiError` whose message is the problem's own detail. */
import { signal } from "@preact/signals";
import { to } from "./place";
import { s } from "./strings";
import type {
  DuplicatesGiven, FacetsGiven, ImageGiven, IndexJob, ExportJob, JobGiven, JobsGiven, LayoutGiven, MapGiven, PhotosGiven, Problem,
  ReviewGiven, RunChanged, RunDiffGiven, RunsGiven, ScoreJob, SearchAsked, SearchGiven, StatsGiven, TagJob, TagsGiven, DehazeJob,
} from "./schemas";

export class ApiError extends Error {
  constructor(readonly status: number, readonly title: string, detail: string) {
    super(detail);
  }
}

/** Whether the service asked for a key and has none. */
export const keyNeeded = signal(false);
/** Whether the last request reached nobody. */
export const unreachable = signal(false);

const RETRIES = 2;

async function reply(path: string, init: RequestInit): Promise<Response> {
  for (let tried = 0; ; tried++) {
    let answer: Response;
    try {
      answer = await fetch(to(path), { credentials: "same-origin", ...init });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      unreachable.value = true;
      throw new ApiError(0, s.offlineTitle, s.offline);
    }
    unreachable.value = false;
    const busy = answer.status === 503 || answer.status === 429;
    if (!busy || tried >= RETRIES || (init.method ?? "GET") === "DELETE") return answer;
    const wait = Math.min(Number(answer.headers.get("retry-after")) || 1, 5);
    await pause(wait * 1000, init.signal ?? undefined);
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}

async function failure(answer: Response): Promise<ApiError> {
  if (answer.status === 401) keyNeeded.value = true;
  try {
    const problem = (await answer.json()) as Partial<Problem>;
    return new ApiError(answer.status, problem.title ?? s.failed, problem.detail || s.failedWith(answer.status));
  } catch {
    return new ApiError(answer.status, s.failed, s.failedWith(answer.status));
  }
}

export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await reply(path, init);
  if (!answer.ok) throw await failure(answer);
  if (answer.status === 204) return undefined as T;
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

function json(method: string, body: unknown, init: RequestInit = {}): RequestInit {
  return { ...init, method, headers: { "content-type": "application/json", ...init.headers }, body: JSON.stringify(body) };
}

function address(path: string, params: Record<string, string | number | null | undefined>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== "") given.set(name, String(value));
  const text = given.toString();
  return text ? `${path}?${text}` : path;
}

export interface Order {
  where?: string | undefined;
  sort?: string | undefined;
  order?: string | undefined;
}

const photo = (digest: string) => `/v1/images/${encodeURIComponent(digest)}`;

export const api = {
  stats: () => ask<StatsGiven>("/v1/stats"),
  facets: (where?: string, signal?: AbortSignal) => ask<FacetsGiven>(address("/v1/facets", { where }), { signal: signal ?? null }),
  layout: (order: Order, signal: AbortSignal) => ask<LayoutGiven>(address("/v1/layout", { ...order }), { signal }),
  photos: (order: Order, start: number, limit: number, signal: AbortSignal) =>
    ask<PhotosGiven>(address("/v1/images", { ...order, start, limit }), { signal }),
  search: (asked: SearchAsked, files: ReadonlyMap<string, Blob>, signal: AbortSignal) => {
    if (!files.size) return ask<SearchGiven>("/v1/search", json("POST", asked, { signal }));
    const form = new FormData();
    form.set("request", new Blob([JSON.stringify(asked)], { type: "application/json" }));
    for (const [name, file] of files) form.set(name, file, name);
    return ask<SearchGiven>("/v1/search", { method: "POST", body: form, signal });
  },
  image: (digest: string, signal?: AbortSignal) => ask<ImageGiven>(photo(digest), { signal: signal ?? null }),
  say: (digest: string, tag: string, verdict: "confirmed" | "rejected") =>
    ask<unknown>(`${photo(digest)}/tags/${encodeURIComponent(tag)}`, json("PUT", { verdict })),
  unsay: (digest: string, tag: string) => ask<unknown>(`${photo(digest)}/tags/${encodeURIComponent(tag)}`, { method: "DELETE" }),
  tags: () => ask<TagsGiven>("/v1/tags"),
  review: (limit: number) => ask<ReviewGiven>(address("/v1/tags/review", { limit })),
  runs: () => ask<RunsGiven>("/v1/tag-runs"),
  diff: (earlier: string, later: string) =>
    ask<RunDiffGiven>(`/v1/tag-runs/${encodeURIComponent(earlier)}/diff/${encodeURIComponent(later)}`),
  change: (run: string, what: "retract" | "promote") => ask<RunChanged>(`/v1/tag-runs/${encodeURIComponent(run)}:${what}`, { method: "POST" }),
  duplicates: (kind: string, cursor?: string | null) => ask<DuplicatesGiven>(address("/v1/duplicates", { kind, cursor })),
  map: (cursor?: string | null) => ask<MapGiven>(address("/v1/map", { cursor })),
  jobs: () => ask<JobsGiven>("/v1/jobs"),
  job: (id: string) => ask<JobGiven>(`/v1/jobs/${encodeURIComponent(id)}`),
  start: (job: IndexJob | TagJob | ScoreJob | ExportJob | DehazeJob) =>
    ask<JobGiven>("/v1/jobs", json("POST", job, { headers: { "idempotency-key": crypto.randomUUID?.() ?? String(Math.random()) } })),
  cancel: (id: string) => ask<unknown>(`/v1/jobs/${encodeURIComponent(id)}`, { method: "DELETE" }),
  session: () => ask<{ name: string | null; key_needed: boolean }>("/v1/session"),
  signIn: (key: string) => ask<unknown>("/v1/session", json("POST", { key })),
  signOut: () => ask<unknown>("/v1/session", { method: "DELETE" }),
};

/** Addresses of a photo's pictures. */
export const picture = {
  thumbnail: (digest: string, size: 160 | 320 | 640) => to(`${photo(digest)}/thumbnail?size=${size}`),
  preview: (digest: string, enhancer: "none" | "dehazed" = "none") => to(`${photo(digest)}/preview?enhancer=${enhancer}`),
  file: (digest: string) => to(`${photo(digest)}/file`),
};

/** The smallest thumbnail that is sharp where the long side takes so many CSS pixels. */
export function thumbnailSize(longSide: number): 160 | 320 | 640 {
  const pixels = longSide * Math.min(window.devicePixelRatio || 1, 2.5) * 0.85;
  return pixels <= 160 ? 160 : pixels <= 320 ? 320 : 640;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
