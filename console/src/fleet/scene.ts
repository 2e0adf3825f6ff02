import type { DoorState, Level, Lift, LiftState } from '../api/types';
import { distanceTo, type Picture, type Point, type Pose } from './geometry';
import { isCharger } from './model';

/** What is drawn of a level, in the plane of the map; and what of it is under a pointer. */

export interface Place extends Point {
  readonly name: string;
  readonly charger: boolean;
}

export interface DoorMark {
  readonly name: string;
  readonly ends: readonly [Point, Point];
  /** RMF's mode: 0 closed, 1 moving, 2 open, 3 offline, 4 unknown. */
  readonly mode: number;
}

export interface LiftMark extends Pose {
  readonly name: string;
  readonly width: number;
  readonly depth: number;
  readonly here: boolean;
  readonly label: string;
  readonly doors: readonly DoorMark[];
}

export interface Scene {
  readonly pictures: readonly Picture[];
  readonly walls: readonly (readonly [Point, Point])[];
  readonly lanes: readonly (readonly [Point, Point])[];
  readonly lifts: readonly LiftMark[];
  readonly doors: readonly DoorMark[];
  readonly places: readonly Place[];
  /** "robot:fleet/name", "place:…", "door:…" or "lift:…"; empty for nothing. */
  readonly selected: string;
}

export interface Moving {
  readonly doors: ReadonlyMap<string, DoorState>;
  readonly lifts: ReadonlyMap<string, LiftState>;
}

type Graph = Level['wall_graph'];

const flip = (p: { x: number; y: number }): Point => ({ x: p.x, y: -p.y });

function edgesOf(g: Graph): (readonly [Point, Point])[] {
  return g.edges.flatMap((e) => {
    const [a, b] = [g.vertices[e.v1_idx], g.vertices[e.v2_idx]];
    return a && b ? [[flip(a), flip(b)] as const] : [];
  });
}

export function sceneOf(level: Level, lifts: readonly Lift[], pictures: readonly Picture[], moving: Moving, selected: string): Scene {
  const vertices = level.nav_graphs.flatMap((g) => g.vertices);
  const chargers = new Set(vertices.filter(isCharger).map((v) => v.name));
  const places = new Map<string, Place>();
  for (const p of [...level.places, ...vertices]) {
    if (p.name !== '' && !places.has(p.name)) places.set(p.name, { ...flip(p), name: p.name, charger: chargers.has(p.name) });
  }
  const door = (d: Level['doors'][number], mode: number): DoorMark => ({
    name: d.name,
    ends: [flip({ x: d.v1_x, y: d.v1_y }), flip({ x: d.v2_x, y: d.v2_y })],
    mode,
  });
  return {
    pictures,
    // A floor plan shows its walls itself.
    walls: pictures.length === 0 ? edgesOf(level.wall_graph) : [],
    lanes: level.nav_graphs.flatMap(edgesOf),
    lifts: lifts
      .filter((l) => l.levels.includes(level.name))
      .map((l) => {
        const state = moving.lifts.get(l.name);
        const here = state?.current_floor === level.name;
        return {
          ...flip({ x: l.ref_x, y: l.ref_y }),
          yaw: -l.ref_yaw,
          name: l.name,
          width: l.width,
          depth: l.depth,
          here,
          label: here ? l.name : `${l.name} · ${state?.current_floor ?? '?'}`,
          doors: l.doors.map((d) => door(d, here ? state.door_state : 0)),
        };
      }),
    doors: level.doors.map((d) => door(d, moving.doors.get(d.name)?.current_mode.value ?? 4)),
    places: [...places.values()],
    selected,
  };
}

/** What is picked, in its parts: of which kind it is, and its name. */
export function parted(what: string): [string, string?] {
  const at = what.indexOf(':');
  return at < 0 ? [what] : [what.slice(0, at), what.slice(at + 1)];
}

/** How near, in pixels, is on it: a finger is not a needle. */
const REACH = { robot: 18, place: 14, door: 9 };

/** What is at a point, the topmost first; empty where there is nothing. `metre` is how many pixels one takes. */
export function pick(scene: Scene, robots: readonly (Point & { id: string })[], at: Point, metre: number): string {
  const within = (p: Point, reach: number) => Math.hypot(p.x - at.x, p.y - at.y) * metre <= reach;
  const robot = robots.findLast((r) => within(r, REACH.robot));
  if (robot !== undefined) return `robot:${robot.id}`;
  const place = scene.places.findLast((p) => within(p, REACH.place));
  if (place !== undefined) return `place:${place.name}`;
  const door = scene.doors.findLast((d) => distanceTo(at, ...d.ends) * metre <= REACH.door);
  if (door !== undefined) return `door:${door.name}`;
  const lift = scene.lifts.findLast((l) => {
    const [dx, dy] = [at.x - l.x, at.y - l.y];
    const [cos, sin] = [Math.cos(l.yaw), Math.sin(l.yaw)];
    return Math.abs(dx * cos + dy * sin) <= l.width / 2 && Math.abs(dy * cos - dx * sin) <= l.depth / 2;
  });
  return lift === undefined ? '' : `lift:${lift.name}`;
}
