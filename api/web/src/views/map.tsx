/** Where photos were taken, over a coastline that is part of the page. This part is loaded when the map is opened. */
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import L from "leaflet";
import "leaflet/dist/leaflet.css";
import { feature } from "topojson-client";
import type { Topology, GeometryCollection } from "topojson-specification";
import world from "world-atlas/land-110m.json?raw";
import { api, picture } from "../api";
import { Failed } from "../notes";
import { photoLink, place } from "../place";
import type { PointGiven } from "../schemas";
import { count, s } from "../strings";
import { Thumbnail } from "../tile";

const CELL = 56;
const MOST_POINTS = 200_000;
const SHOWN = 40;

interface Heap {
  points: PointGiven[];
  x: number;
  y: number;
}

/** Points that would lie on each other, gathered by a grid of the screen. */
function gather(map: L.Map, points: readonly PointGiven[]): Heap[] {
  const heaps = new Map<string, Heap>();
  const bounds = map.getBounds().pad(0.25);
  const zoom = map.getZoom();
  for (const point of points) {
    if (!bounds.contains([point.latitude, point.longitude])) continue;
    const { x, y } = map.project([point.latitude, point.longitude], zoom);
    const key = `${Math.floor(x / CELL)} ${Math.floor(y / CELL)}`;
    const heap = heaps.get(key);
    if (heap) {
      heap.points.push(point);
      heap.x += x;
      heap.y += y;
    } else heaps.set(key, { points: [point], x, y });
  }
  return [...heaps.values()];
}

/** A ring that crosses 180° goes on beyond it, or it would be drawn back across the whole map; one around a pole is closed over the pole. */
function unwrapped(ring: readonly (readonly number[])[]): L.LatLngTuple[] {
  let turn = 0;
  let last = ring[0]?.[0] ?? 0;
  const points = ring.map(([east = 0, north = 0]): L.LatLngTuple => {
    if (Math.abs(east - last) > 180) turn += east > last ? -360 : 360;
    last = east;
    return [north, east + turn];
  });
  const [first, end] = [points[0], points.at(-1)];
  if (!turn || !first || !end) return points;
  const pole = Math.sign(end[0]) * 90;
  return [...points, [pole, end[1]], [pole, first[1]]];
}

export default function PhotoMap() {
  const box = useRef<HTMLDivElement>(null);
  const points = useSignal<readonly PointGiven[] | null>(null);
  const error = useSignal<unknown>(null);
  const chosen = useSignal<readonly PointGiven[]>([]);

  useEffect(() => {
    let over = false;
    const all: PointGiven[] = [];
    const load = async (cursor?: string | null): Promise<void> => {
      const given = await api.map(cursor);
      all.push(...given.points);
      if (over) return;
      if (given.next && all.length < MOST_POINTS) return load(given.next);
      points.value = all;
    };
    load().catch((fault: unknown) => (error.value = fault));
    return () => void (over = true);
  }, []);

  useEffect(() => {
    const given = points.value;
    if (!given?.length) return;
    const map = L.map(box.current as HTMLDivElement, { worldCopyJump: true, minZoom: 1, maxZoom: 16, attributionControl: false, zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches });
    const topology = JSON.parse(world) as Topology<{ land: GeometryCollection }>;
    for (const { geometry } of feature(topology, topology.objects.land).features) {
      const polygons = geometry.type === "MultiPolygon" ? geometry.coordinates : geometry.type === "Polygon" ? [geometry.coordinates] : [];
      L.polygon(polygons.map((rings) => rings.map(unwrapped)), { interactive: false, className: "land" }).addTo(map);
    }
    const layer = L.layerGroup().addTo(map);
    const asked = /^(-?[\d.]+),(-?[\d.]+)$/.exec(new URLSearchParams(place.value.search).get("at") ?? "");
    if (asked) map.setView([Number(asked[1]), Number(asked[2])], 9);
    else map.fitBounds(L.latLngBounds(given.map((point) => [point.latitude, point.longitude])).pad(0.1), { maxZoom: 11 });
    const draw = () => {
      layer.clearLayers();
      for (const heap of gather(map, given)) {
        const many = heap.points.length;
        const side = many === 1 ? 40 : Math.min(60, 42 + 6 * Math.log10(many));
        const element = document.createElement("div");
        const image = document.createElement("img");
        if (heap.points[0]) image.src = picture.thumbnail(heap.points[0].digest, 160);
        image.alt = "";
        element.append(image);
        if (many > 1) {
          const badge = document.createElement("b");
          badge.textContent = count(many);
          element.append(badge);
        }
        const where = map.unproject([heap.x / many, heap.y / many], map.getZoom());
        const icon = L.divIcon({ className: "pin", html: element, iconSize: [side, side] });
        L.marker(where, { icon, alt: s.photosHere(many), title: s.photosHere(many) })
          .on("click", () => {
            const bounds = L.latLngBounds(heap.points.map((point) => [point.latitude, point.longitude]));
            chosen.value = heap.points.slice(0, SHOWN);
            if (many > 1 && map.getZoom() < 14) map.fitBounds(bounds.pad(0.2), { maxZoom: map.getZoom() + 3 });
          })
          .addTo(layer);
      }
    };
    map.on("moveend zoomend", draw);
    draw();
    return () => void map.remove();
  }, [points.value]);

  return (
    <div class="view map-view">
      <header class="view-head"><h1>{s.map}</h1>{points.value?.length ? <p>{s.mapHint(points.value.length)}</p> : null}</header>
      {error.value ? <Failed error={error.value} /> : null}
      {points.value && !points.value.length ? <div class="state"><h2>{s.noPlaces}</h2></div> : null}
      {points.value?.length ? <div class="map" ref={box} role="region" aria-label={s.mapLabel} /> : null}
      {chosen.value.length ? (
        <ul class="strip">{chosen.value.map((point) => <li key={point.digest}><a href={photoLink(point.digest)} aria-label={s.open}><Thumbnail digest={point.digest} side={104} /></a></li>)}</ul>
      ) : null}
    </div>
  );
}
