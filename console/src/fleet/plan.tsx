import { ActionIcon, useComputedColorScheme, useMantineTheme } from '@mantine/core';
import { Maximize, Minus, Plus } from 'lucide-react';
import { useCallback, useEffect, useEffectEvent, useMemo, useRef, useState } from 'react';
import type { DoorState, FleetState, Level, Lift, LiftState } from '../api/types';
import { boundsOf, fit, type Picture, zoom } from './geometry';
import { useLine } from './line';
import classes from './map.module.css';
import { battery, doorLook, needsHelp, type Robot } from './model';
import { paletteOf } from './paint';
import { parted, pick, sceneOf } from './scene';
import { Stage } from './stage';

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

const still = () => window.matchMedia('(prefers-reduced-motion: reduce)').matches;

/**
 * One level, drawn. What moves often goes from the line to the stage, past React, which tells the stage what
 * changes now and then. The list beside it says the same to those who cannot use a picture.
 */
export function Plan({ level, lifts, pictures, robots, stale, fleets, doorStates, liftStates, selected, follow, onSelect, onFollow }: Props) {
  const theme = useMantineTheme();
  const dark = useComputedColorScheme('light') === 'dark';
  const box = useRef<HTMLDivElement>(null);
  const below = useRef<HTMLCanvasElement>(null);
  const above = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Stage>(null);
  const [hint, setHint] = useState('');
  const here = useMemo(() => robots.filter((r) => r.location?.map === level.name), [robots, level]);
  const bounds = useMemo(
    () => boundsOf(level, pictures.filter((p) => p.yaw === 0).map((p) => ({ x: p.x, y: p.y, w: p.image.naturalWidth * p.scale, h: p.image.naturalHeight * p.scale }))),
    [level, pictures],
  );
  const scene = useMemo(
    () => sceneOf(level, lifts, pictures, { doors: doorStates, lifts: liftStates }, selected),
    [level, lifts, pictures, doorStates, liftStates, selected],
  );
  const palette = useMemo(() => paletteOf(theme, dark), [theme, dark]);
  const followed = follow && selected.startsWith('robot:') ? selected.slice('robot:'.length) : '';

  useEffect(() => {
    if (below.current === null || above.current === null) return undefined;
    const own = new Stage(below.current, above.current, still());
    stage.current = own;
    return () => own.end();
  }, []);
  useEffect(() => stage.current?.build(scene, palette), [scene, palette]);
  useEffect(() => stage.current?.follow(followed), [followed]);
  useEffect(() => {
    stage.current?.cast(
      here.map((r) => ({
        id: r.id,
        state: stale.has(r.id) ? 'stale' : needsHelp(r) ? 'help' : (r.status ?? 'uninitialized'),
        charge: Math.max(0, Math.min(1, r.battery ?? 0)),
        selected: selected === `robot:${r.id}`,
        label: r.status === 'charging' && selected !== `robot:${r.id}` ? short(r.name) : r.name,
        first: { x: r.location?.x ?? 0, y: -(r.location?.y ?? 0), yaw: -(r.location?.yaw ?? 0) },
      })),
    );
  }, [here, stale, selected]);

  const showAll = useCallback(() => {
    const b = box.current;
    if (b === null || b.clientHeight === 0) return;
    stage.current?.resize(b.clientWidth, b.clientHeight);
    stage.current?.show(fit(bounds, b.clientWidth / b.clientHeight));
  }, [bounds]);
  useEffect(() => {
    if (box.current === null) return undefined;
    const observer = new ResizeObserver(showAll);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [showAll]);

  // Positions, as often as they come.
  const line = useLine();
  useEffect(() => {
    const leave = fleets.map((name) =>
      line.listen(`/fleets/${name}/state`, (data) => {
        for (const [robot, { location: l }] of Object.entries((data as FleetState).robots ?? {})) {
          if (l) stage.current?.see(`${name}/${robot}`, { x: l.x, y: -l.y, yaw: -l.yaw });
        }
      }),
    );
    return () => {
      for (const l of leave) l();
    };
  }, [line, fleets]);

  const zoomBy = (factor: number, fx?: number, fy?: number) => {
    const s = stage.current;
    s?.show(zoom(s.shown(), factor, fx, fy));
  };
  const pan = (dx: number, dy: number) => {
    const s = stage.current;
    if (s === null) return;
    const v = s.shown();
    s.show({ ...v, x: v.x - dx / s.metre(), y: v.y - dy / s.metre() });
  };
  const under = (e: MouseEvent): string => {
    const [s, b] = [stage.current, box.current];
    if (s === null || b === null) return '';
    const [r, v] = [b.getBoundingClientRect(), s.shown()];
    return pick(scene, s.standing(), { x: v.x + (e.clientX - r.left) / s.metre(), y: v.y + (e.clientY - r.top) / s.metre() }, s.metre());
  };

  // Drag, wheel, pinch and click.
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const moved = useRef(0);
  const down = (e: React.PointerEvent) => {
    pointers.current.set(e.pointerId, { x: e.clientX, y: e.clientY });
    moved.current = 0;
  };
  const move = (e: React.PointerEvent) => {
    const last = pointers.current.get(e.pointerId);
    if (last === undefined) {
      setHint(under(e.nativeEvent));
      return;
    }
    const [dx, dy] = [e.clientX - last.x, e.clientY - last.y];
    const other = [...pointers.current].find(([id]) => id !== e.pointerId)?.[1];
    pointers.current.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (other !== undefined) {
      const was = Math.hypot(last.x - other.x, last.y - other.y);
      const is = Math.hypot(e.clientX - other.x, e.clientY - other.y);
      if (is > 0) zoomBy(was / is);
      return;
    }
    moved.current += Math.abs(dx) + Math.abs(dy);
    if (moved.current <= 4) return;
    if (!e.currentTarget.hasPointerCapture(e.pointerId)) {
      e.currentTarget.setPointerCapture(e.pointerId);
      onFollow(false);
    }
    pan(dx, dy);
  };
  const up = (e: React.PointerEvent) => pointers.current.delete(e.pointerId);
  const click = (e: React.MouseEvent) => {
    if (moved.current <= 4) onSelect(under(e.nativeEvent));
  };
  const key = (e: React.KeyboardEvent) => {
    if (e.target !== e.currentTarget) return;
    const step = (box.current?.clientWidth ?? 0) / 10;
    const ways: Record<string, [number, number]> = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const way = ways[e.key];
    if (way !== undefined) pan(...way);
    else if (e.key === '+' || e.key === '=') zoomBy(0.8);
    else if (e.key === '-') zoomBy(1.25);
    else return;
    e.preventDefault();
  };
  const wheel = useEffectEvent((e: WheelEvent) => {
    const b = box.current;
    // A page that scrolls is not zoomed by mistake: that takes Ctrl, a pinch, or a map that was clicked.
    if (b === null || (!e.ctrlKey && document.activeElement !== b)) return;
    e.preventDefault();
    const r = b.getBoundingClientRect();
    zoomBy(Math.exp(e.deltaY * 0.0015), (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height);
  });
  useEffect(() => {
    // React's own listener is passive, and could not keep the page where it is.
    const b = box.current;
    const listen = (e: WheelEvent) => wheel(e);
    b?.addEventListener('wheel', listen, { passive: false });
    return () => b?.removeEventListener('wheel', listen);
  }, []);

  return (
    <div className={classes.stage}>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- an application is interactive */}
      <div
        ref={box}
        className={classes.plan}
        role="application"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- as above
        tabIndex={0}
        aria-label={`Floor plan of ${level.name} with ${here.length} robots. The list beside it has the same in words. Arrow keys move it, plus and minus zoom.`}
        title={hintOf(hint, robots, doorStates)}
        data-testid="plan"
        data-pictures={pictures.length}
        data-over={hint !== ''}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={up}
        onClick={click}
        onKeyDown={key}
      >
        <canvas ref={below} />
        <canvas ref={above} />
      </div>
      <div className={classes.tools}>
        <ActionIcon variant="default" size="lg" aria-label="Zoom in" onClick={() => zoomBy(0.75)}>
          <Plus size={16} />
        </ActionIcon>
        <ActionIcon variant="default" size="lg" aria-label="Zoom out" onClick={() => zoomBy(1.33)}>
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

/** What a pointer that rests over something is told. */
function hintOf(what: string, robots: readonly Robot[], doors: ReadonlyMap<string, DoorState>): string | undefined {
  const [kind, name = ''] = parted(what);
  if (kind === 'robot') {
    const robot = robots.find((r) => r.id === name);
    return robot && `${robot.name}: ${robot.status ?? 'unknown'}, ${battery(robot)}`;
  }
  if (kind === 'door') return `${name}: ${doorLook(doors.get(name)?.current_mode.value).word}`;
  return undefined;
}

/** Chargers stand close together: there the number of a robot must do. */
function short(name: string): string {
  return /\d+$/.exec(name)?.[0] ?? name;
}
