/** What the library holds and what may be done; asked once, and again when something changed. */
import { computed, effect, signal } from "@preact/signals";
import { api, ApiError, keyNeeded } from "./api";
import { renewed } from "./listing";
import type { FacetsGiven, StatsGiven } from "./schemas";

export const stats = signal<StatsGiven | null>(null);
export const facets = signal<FacetsGiven | null>(null);
/** Nothing was indexed yet. */
export const empty = signal(false);

export const may = (scope: "tag" | "admin") => stats.value?.scopes.includes(scope) ?? false;
export const photos = computed(() => stats.value?.photos ?? 0);

export async function refresh(): Promise<void> {
  try {
    stats.value = await api.stats();
    empty.value = stats.value.photos === 0;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) empty.value = true;
  }
  if (!empty.value && !keyNeeded.value) facets.value = await api.facets().catch(() => null);
}

export function followLibrary(): void {
  effect(() => {
    void renewed.value;
    void refresh();
  });
}
