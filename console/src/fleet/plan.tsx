import { ActionIcon } from '@mantine/core';
import { Maximize, Minus, Plus } from 'lucide-react';
import { memo, useCallback, useEffect, useMemo, useRef } from 'react';
import type { DoorState, FleetState, Level, Lift, LiftState } from '../api/types';
import { boundsOf, centred, fit, type Pose, Track, type View, zoom } from './geometry';
import { useLine } from './line';
import classes from './map.module.css';
import { battery, doorLook, needsHelp, type Robot } from './model';

/** A floor plan with its size in pixels, which the map does not say. */
export interface Picture {
  readonly src: string;
  readonly x: number;
  readonly y: number;
  readonly yaw: number;
  readonly scale: number;
  readonly width: number;
  readonly height: number;
}

interface Props {
  level: Level;
  lifts: readonly Lift[];
  pictures: readonly Picture[];
  robots: readonly Robot[];
  stale: ReadonlySet<string>;
  fleets: readonly string[];
  doorStates: ReadonlyMap<string, DoorState>;
  liftStates: ReadonlyMap<string, LiftState>;
  /** "robot:fleet/name", "place:…", "door:…" or "lift:…". */
  selected: string;
  follow: boolean;
  onSelect: (what: string) => void;
  onFollow: (follow: boolean) => void;
}

/** How much of a level is seen around a robot that is followed, in metres. */
const CLOSE = 16;

const still = () => window.matchMedia('(prefers-reduced-motion: reduce)').matches;

/**
 * One level, drawn. Robots glide: they are moved in the animation frame, past React, which draws only
 * what changes now and then. The list beside it says the same to those who cannot use a picture.
 */
export function Plan(props: Props) {
  const { level, pictures, robots, fleets, selected, follow, onSelect, onFollow } = props;
  const svg = useRef<SVGSVGElement>(null);
  const view = useRef<View>({ x: 0, y: 0, w: 10, h: 10 });
  const tracks = useRef(new Map<string, Track>());
  const nodes = useRef(new Map<string, SVGGElement>());
  const bounds = useMemo(
    () => boundsOf(level, pictures.filter((p) => p.yaw === 0).map((p) => ({ x: p.x, y: -p.y, w: p.width * p.scale, h: p.height * p.scale }))),
    [level, pictures],
  );

  const show = useCallback((next: View) => {
    view.current = next;
    const box = svg.current;
    if (box === null || box.clientWidth === 0) return;
    box.setAttribute('viewBox', `${next.x} ${next.y} ${next.w} ${next.h}`);
    box.style.setProperty('--u', String(next.w / box.clientWidth));
  }, []);
  const showAll = useCallback(() => {
    const box = svg.current;
    if (box !== null && box.clientHeight > 0) show(fit(bounds, box.clientWidth / box.clientHeight));
  }, [bounds, show]);

  useEffect(() => {
    const box = svg.current;
    if (box === null) return undefined;
    showAll();
    const observer = new ResizeObserver(showAll);
    observer.observe(box);
    return () => observer.disconnect();
  }, [showAll]);

  // Positions, as often as they come.
  const line = useLine();
  useEffect(() => {
    const leave = fleets.map((name) =>
      line.listen(`/fleets/${name}/state`, (data) => {
        const now = performance.now();
        for (const [robot, r] of Object.entries((data as FleetState).robots ?? {})) {
          if (!r.location) continue;
          const pose: Pose = { x: r.location.x, y: -r.location.y, yaw: -r.location.yaw };
          const id = `${name}/${robot}`;
          const track = tracks.current.get(id);
          if (track === undefined) tracks.current.set(id, new Track(pose, now));
          else track.see(pose, now);
        }
      }),
    );
    return () => {
      for (const l of leave) l();
    };
  }, [line, fleets]);

  const followed = follow && selected.startsWith('robot:') ? selected.slice('robot:'.length) : '';
  useEffect(() => {
    let frame = 0;
    let before = 0;
    const drawn = new Map<SVGGElement, string>();
    if (followed !== '' && view.current.w > CLOSE) show(zoom(view.current, CLOSE / view.current.w));
    const rest = still() ? 500 : 0;
    const draw = (now: number) => {
      frame = requestAnimationFrame(draw);
      if (now - before < rest) return;
      before = now;
      for (const [id, node] of nodes.current) {
        const p = tracks.current.get(id)?.at(now);
        if (p === undefined) continue;
        const place = `translate(${p.x.toFixed(3)} ${p.y.toFixed(3)})`;
        const heading = `rotate(${((p.yaw * 180) / Math.PI).toFixed(1)})`;
        if (drawn.get(node) === place + heading) continue;
        drawn.set(node, place + heading);
        node.setAttribute('transform', place);
        node.querySelector('[data-heading]')?.setAttribute('transform', heading);
        if (id === followed) show(centred(view.current, p.x, p.y));
      }
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [followed, show]);

  // Drag, wheel, pinch and click.
  useEffect(() => {
    const box = svg.current;
    if (box === null) return undefined;
    const pointers = new Map<number, { x: number; y: number }>();
    let moved = 0;
    const scale = () => view.current.w / Math.max(1, box.clientWidth);
    const down = (e: PointerEvent) => {
      pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
      moved = 0;
    };
    const move = (e: PointerEvent) => {
      const last = pointers.get(e.pointerId);
      if (last === undefined) return;
      const [dx, dy] = [e.clientX - last.x, e.clientY - last.y];
      const other = [...pointers].find(([id]) => id !== e.pointerId)?.[1];
      if (other !== undefined) {
        const was = Math.hypot(last.x - other.x, last.y - other.y);
        const is = Math.hypot(e.clientX - other.x, e.clientY - other.y);
        if (is > 0) show(zoom(view.current, was / is));
      } else {
        moved += Math.abs(dx) + Math.abs(dy);
        if (moved > 4) {
          if (!box.hasPointerCapture(e.pointerId)) {
            box.setPointerCapture(e.pointerId);
            onFollow(false);
          }
          const s = scale();
          show({ ...view.current, x: view.current.x - dx * s, y: view.current.y - dy * s });
        }
      }
      pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    };
    const up = (e: PointerEvent) => pointers.delete(e.pointerId);
    const wheel = (e: WheelEvent) => {
      // A page that scrolls is not zoomed by mistake: that takes Ctrl, a pinch, or a map that was clicked.
      if (!e.ctrlKey && document.activeElement !== box) return;
      e.preventDefault();
      const r = box.getBoundingClientRect();
      show(zoom(view.current, Math.exp(e.deltaY * 0.0015), (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height));
    };
    const click = (e: MouseEvent) => {
      if (moved > 4) return;
      const hit = e.target instanceof Element ? e.target.closest('[data-pick]') : null;
      onSelect(hit?.getAttribute('data-pick') ?? '');
    };
    const key = (e: KeyboardEvent) => {
      const step = view.current.w / 10;
      const by: Record<string, [number, number]> = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      const way = by[e.key];
      if (way !== undefined) show({ ...view.current, x: view.current.x + way[0], y: view.current.y + way[1] });
      else if (e.key === '+' || e.key === '=') show(zoom(view.current, 0.8));
      else if (e.key === '-') show(zoom(view.current, 1.25));
      else return;
      e.preventDefault();
    };
    box.addEventListener('pointerdown', down);
    box.addEventListener('pointermove', move);
    box.addEventListener('pointerup', up);
    box.addEventListener('pointercancel', up);
    box.addEventListener('wheel', wheel, { passive: false });
    box.addEventListener('click', click);
    box.addEventListener('keydown', key);
    return () => {
      box.removeEventListener('pointerdown', down);
      box.removeEventListener('pointermove', move);
      box.removeEventListener('pointerup', up);
      box.removeEventListener('pointercancel', up);
      box.removeEventListener('wheel', wheel);
      box.removeEventListener('click', click);
      box.removeEventListener('keydown', key);
    };
  }, [show, onSelect, onFollow]);

  const keep = useCallback((id: string, node: SVGGElement | null) => {
    if (node === null) nodes.current.delete(id);
    else nodes.current.set(id, node);
  }, []);
  const here = robots.filter((r) => r.location?.map === level.name);
  return (
    <div className={classes.stage}>
      <svg
        ref={svg}
        className={classes.plan}
        role="img"
        tabIndex={0}
        aria-label={`Floor plan of ${level.name} with ${here.length} robots. The list beside it has the same in words. Arrow keys move it, plus and minus zoom.`}
        data-testid="plan"
      >
        <Building {...props} />
        {here.map((r) => (
          <RobotMark key={r.id} robot={r} stale={props.stale.has(r.id)} selected={selected === `robot:${r.id}`} keep={keep} />
        ))}
      </svg>
      <div className={classes.tools}>
        <ActionIcon variant="default" size="lg" aria-label="Zoom in" onClick={() => show(zoom(view.current, 0.75))}>
          <Plus size={16} />
        </ActionIcon>
        <ActionIcon variant="default" size="lg" aria-label="Zoom out" onClick={() => show(zoom(view.current, 1.33))}>
          <Minus size={16} />
        </ActionIcon>
        <ActionIcon
          variant="default"
          size="lg"
          aria-label="Show the whole level"
          onClick={() => {
            onFollow(false);
            showAll();
          }}
        >
          <Maximize size={16} />
        </ActionIcon>
      </div>
    </div>
  );
}

/** What does not move, or only now and then. */
const Building = memo(
  function Building({ level, lifts, pictures, doorStates, liftStates, selected }: Props) {
    const lanes = level.nav_graphs.flatMap((g) =>
      g.edges.map((e) => {
        const [a, b] = [g.vertices[e.v1_idx], g.vertices[e.v2_idx]];
        return a && b ? `M${a.x} ${-a.y}L${b.x} ${-b.y}` : '';
      }),
    );
    const walls = level.wall_graph.edges.map((e) => {
      const [a, b] = [level.wall_graph.vertices[e.v1_idx], level.wall_graph.vertices[e.v2_idx]];
      return a && b ? `M${a.x} ${-a.y}L${b.x} ${-b.y}` : '';
    });
    const chargers = new Set(
      level.nav_graphs.flatMap((g) =>
        g.vertices.filter((v) => v.params.some((p) => p.name === 'is_charger' && p.value_bool)).map((v) => v.name),
      ),
    );
    const named = new Map(level.places.map((p) => [p.name, p]));
    for (const v of level.nav_graphs.flatMap((g) => g.vertices)) {
      if (v.name !== '' && !named.has(v.name)) named.set(v.name, { ...v, yaw: 0, position_tolerance: 0, yaw_tolerance: 0 });
    }
    return (
      <>
        {pictures.map((p) => (
          <image
            key={p.src}
            href={p.src}
            width={p.width}
            height={p.height}
            transform={`translate(${p.x} ${-p.y}) rotate(${(-p.yaw * 180) / Math.PI}) scale(${p.scale})`}
            className={classes.picture}
            preserveAspectRatio="none"
          />
        ))}
        {pictures.length === 0 && <path d={walls.join('')} className={classes.walls} />}
        <path d={lanes.join('')} className={classes.lanes} />
        {lifts
          .filter((l) => l.levels.includes(level.name))
          .map((l) => {
            const state = liftStates.get(l.name);
            const here = state?.current_floor === level.name;
            return (
              <g key={l.name} data-pick={`lift:${l.name}`} className={classes.lift} data-here={here} data-selected={selected === `lift:${l.name}`}>
                <rect
                  x={-l.width / 2}
                  y={-l.depth / 2}
                  width={l.width}
                  height={l.depth}
                  transform={`translate(${l.ref_x} ${-l.ref_y}) rotate(${(-l.ref_yaw * 180) / Math.PI})`}
                />
                {l.doors.map((d) => (
                  <line key={d.name} x1={d.v1_x} y1={-d.v1_y} x2={d.v2_x} y2={-d.v2_y} data-mode={here ? state.door_state : 0} className={classes.door} />
                ))}
                <text x={l.ref_x} y={-l.ref_y} className={classes.liftName}>
                  {here ? l.name : `${l.name} · ${state?.current_floor ?? '?'}`}
                </text>
              </g>
            );
          })}
        {level.doors.map((d) => {
          const mode = doorStates.get(d.name)?.current_mode.value;
          return (
            <g key={d.name} data-pick={`door:${d.name}`} data-selected={selected === `door:${d.name}`} className={classes.pick}>
              <title>{`${d.name}: ${doorLook(mode).word}`}</title>
              <line x1={d.v1_x} y1={-d.v1_y} x2={d.v2_x} y2={-d.v2_y} className={classes.hit} />
              <line x1={d.v1_x} y1={-d.v1_y} x2={d.v2_x} y2={-d.v2_y} className={classes.door} data-mode={mode ?? 4} />
            </g>
          );
        })}
        {[...named.values()].map((p) => (
          <g
            key={p.name}
            data-pick={`place:${p.name}`}
            data-selected={selected === `place:${p.name}`}
            data-charger={chargers.has(p.name)}
            transform={`translate(${p.x} ${-p.y})`}
            className={classes.place}
          >
            <g className={classes.sized}>
              <circle r={14} className={classes.hit} />
              {chargers.has(p.name) ? <path d="M1.5-7-4 1H-.5L-1.5 7 4-1H.5Z" /> : <rect x={-4} y={-4} width={8} height={8} rx={1.5} transform="rotate(45)" />}
              {!chargers.has(p.name) && (
                <text y={-9} className={classes.label}>
                  {p.name}
                </text>
              )}
            </g>
          </g>
        ))}
      </>
    );
  },
  (a, b) =>
    a.level === b.level &&
    a.lifts === b.lifts &&
    a.pictures === b.pictures &&
    a.doorStates === b.doorStates &&
    a.liftStates === b.liftStates &&
    a.selected === b.selected,
);

interface MarkProps {
  robot: Robot;
  stale: boolean;
  selected: boolean;
  keep: (id: string, node: SVGGElement | null) => void;
}

/** A robot: a disc that points where it heads, its charge as a ring, a sign when it needs help. */
function RobotMark({ robot, stale, selected, keep }: MarkProps) {
  const { id } = robot;
  const first = useRef(robot.location);
  const node = useCallback(
    (g: SVGGElement | null) => {
      const at = first.current;
      // Where it was when it was first drawn; from then on the animation frame moves it.
      if (at && g?.hasAttribute('transform') === false) g.setAttribute('transform', `translate(${at.x} ${-at.y})`);
      keep(id, g);
    },
    [keep, id],
  );
  const state = stale ? 'stale' : needsHelp(robot) ? 'help' : (robot.status ?? 'uninitialized');
  const charge = Math.max(0, Math.min(1, robot.battery ?? 0));
  const round = 2 * Math.PI * 14;
  return (
    <g ref={node} data-pick={`robot:${id}`} data-state={state} data-selected={selected} className={classes.robot} data-testid="robot">
      <title>{`${robot.name}: ${robot.status ?? 'unknown'}, ${battery(robot)}`}</title>
      <g className={classes.sized}>
        {selected && <circle r={20} className={classes.halo} />}
        <g data-heading="">
          <path d="M13-7 23 0 13 7Z" className={classes.nose} />
        </g>
        <circle r={14} className={classes.track} />
        <circle r={14} className={classes.charge} strokeDasharray={`${charge * round} ${round}`} transform="rotate(-90)" data-low={charge < 0.25} />
        <circle r={11} className={classes.body} />
        <Glyph state={state} />
        <text y={29} className={classes.label}>
          {robot.status === 'charging' && !selected ? short(robot.name) : robot.name}
        </text>
      </g>
    </g>
  );
}

/** Chargers stand close together: there the number of a robot must do. */
function short(name: string): string {
  return /\d+$/.exec(name)?.[0] ?? name;
}

function Glyph({ state }: { state: string }) {
  switch (state) {
    case 'help':
    case 'error':
      return <path d="M0-6V1M0 4.5V5" className={classes.glyph} />;
    case 'charging':
      return <path d="M1.5-6.5-3.5 1H-.5L-1.5 6.5 3.5-1H.5Z" className={classes.glyphFill} />;
    case 'working':
      return <path d="M-4 0H3.5M.5-3.5 4 0 .5 3.5" className={classes.glyph} />;
    case 'offline':
    case 'stale':
      return <path d="M-4-4 4 4M4-4-4 4" className={classes.glyph} />;
    default:
      return <circle r={2.5} className={classes.glyphFill} />;
  }
}
