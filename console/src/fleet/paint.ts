import type { MantineTheme } from '@mantine/core';
import type { Picture, Point, Pose, View } from './geometry';
import type { DoorMark, LiftMark, Place, Scene } from './scene';

/** How the map looks: what stands on the ground, and the marks of places and robots. */

export interface Palette {
  readonly dark: boolean;
  readonly font: string;
  readonly wall: string;
  readonly lane: string;
  readonly doors: readonly string[];
  readonly selected: string;
  readonly halo: string;
  readonly liftFill: string;
  readonly liftHere: string;
  readonly liftEdge: string;
  readonly liftSelected: string;
  readonly place: string;
  readonly placeEdge: string;
  readonly placeSelected: string;
  readonly charger: string;
  readonly text: string;
  readonly textEdge: string;
  readonly ring: string;
  readonly ringEdge: string;
  readonly charge: string;
  readonly low: string;
  readonly tones: Readonly<Record<string, string>>;
}

export function paletteOf(theme: MantineTheme, dark: boolean): Palette {
  const shade = (name: string, n: number) => theme.colors[name]?.[n] ?? theme.black;
  const of = (light: readonly [string, number], night: readonly [string, number]) => shade(...(dark ? night : light));
  const [good, busy, bad, grey] = [shade('pine', 7), shade('blue', 7), shade('red', 8), shade('gray', 6)];
  const closed = of(['gray', 8], ['dark', 0]);
  const gone = shade('gray', 5);
  return {
    dark,
    font: theme.fontFamily,
    wall: of(['gray', 7], ['dark', 1]),
    lane: of(['pine', 4], ['pine', 6]),
    doors: [closed, of(['blue', 6], ['blue', 4]), of(['pine', 6], ['pine', 4]), gone, gone],
    selected: shade('pine', 6),
    halo: `${shade('pine', 5)}55`,
    liftFill: of(['gray', 3], ['dark', 5]),
    liftHere: of(['pine', 1], ['pine', 9]),
    liftEdge: of(['gray', 6], ['dark', 2]),
    liftSelected: of(['pine', 7], ['pine', 4]),
    place: dark ? shade('dark', 6) : theme.white,
    placeEdge: of(['gray', 7], ['dark', 1]),
    placeSelected: shade('pine', 5),
    charger: of(['yellow', 6], ['yellow', 5]),
    text: of(['gray', 8], ['dark', 0]),
    textEdge: of(['gray', 0], ['dark', 8]),
    ring: theme.white,
    ringEdge: of(['gray', 3], ['dark', 4]),
    charge: of(['pine', 5], ['pine', 4]),
    low: shade('red', 7),
    tones: { idle: good, charging: good, working: busy, help: bad, error: bad, offline: bad, stale: grey },
  };
}

type Context = CanvasRenderingContext2D;

/** A canvas's part of the plane: `metre` is how many pixels one takes, `density` how many dots a pixel has. */
export interface Frame {
  readonly view: View;
  readonly metre: number;
  readonly density: number;
}

export function clear(c: Context): void {
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, c.canvas.width, c.canvas.height);
}

/** A drawing that is made once and stamped from then on; its origin is its middle. */
interface Stamp {
  readonly key: string;
  readonly canvas: HTMLCanvasElement;
}

/** The stamps of a map, one for each thing that is drawn with one. */
export class Stamps {
  private readonly made = new Map<string, Stamp>();

  /** Puts a thing's stamp at a point, on whole dots, which keeps letters sharp; draws it anew when its key changed. */
  put(c: Context, f: Frame, at: Point, name: string, key: string, size: () => readonly [number, number], draw: (c: Context) => void): void {
    const full = `${key}|${f.density}`;
    let stamp = this.made.get(name);
    if (stamp?.key !== full) {
      const canvas = stamp?.canvas ?? document.createElement('canvas');
      [canvas.width, canvas.height] = size().map((n) => Math.ceil(n * f.density)) as [number, number]; // empties it too
      const own = canvas.getContext('2d');
      if (own === null) return;
      own.setTransform(f.density, 0, 0, f.density, canvas.width / 2, canvas.height / 2);
      draw(own);
      stamp = { key: full, canvas };
      this.made.set(name, stamp);
    }
    const k = f.metre * f.density;
    const { width, height } = stamp.canvas;
    const [x, y] = [Math.round((at.x - f.view.x) * k - width / 2), Math.round((at.y - f.view.y) * k - height / 2)];
    if (x > c.canvas.width || y > c.canvas.height || x + width < 0 || y + height < 0) return;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(stamp.canvas, x, y);
  }
}

/** The ground, in metres; its marks are stamped in dots, and so come last. */
export function paintGround(c: Context, f: Frame, scene: Scene, palette: Palette, stamps: Stamps): void {
  clear(c);
  const k = f.metre * f.density;
  c.setTransform(k, 0, 0, k, -f.view.x * k, -f.view.y * k);
  const px = 1 / f.metre;
  for (const p of scene.pictures) picture(c, p, palette.dark);
  c.lineCap = 'round';
  lines(c, scene.walls);
  c.lineWidth = 2 * px;
  c.strokeStyle = palette.wall;
  c.stroke();
  c.lineCap = 'butt';
  c.globalAlpha = 0.55;
  lines(c, scene.lanes);
  c.setLineDash([4 * px, 4 * px]);
  c.strokeStyle = palette.lane;
  c.stroke();
  c.setLineDash([]);
  c.globalAlpha = 1;
  c.lineCap = 'round';
  for (const l of scene.lifts) lift(c, px, l, scene.selected === `lift:${l.name}`, palette);
  for (const d of scene.doors) door(c, px, d, scene.selected === `door:${d.name}`, palette);
  for (const p of scene.places) {
    const chosen = scene.selected === `place:${p.name}`;
    stamps.put(c, f, p, `place:${p.name}`, `${chosen} ${palette.dark}`, () => [labelWidth(c, p.name, palette), 48], (own) => place(own, p, chosen, palette));
  }
}

function lines(c: Context, edges: readonly (readonly [Point, Point])[]): void {
  c.beginPath();
  for (const [a, b] of edges) {
    c.moveTo(a.x, a.y);
    c.lineTo(b.x, b.y);
  }
}

const night = new WeakMap<HTMLImageElement, HTMLCanvasElement>();

/** A plan that was drawn black on white, white on black: its hues stay what they were. */
function atNight(image: HTMLImageElement): CanvasImageSource {
  const known = night.get(image);
  if (known !== undefined) return known;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const c = canvas.getContext('2d');
  if (c === null) return image;
  const all = [0, 0, canvas.width, canvas.height] as const;
  c.drawImage(image, 0, 0);
  c.globalCompositeOperation = 'difference';
  c.fillStyle = '#fff';
  c.fillRect(...all);
  c.globalCompositeOperation = 'hue';
  c.drawImage(image, 0, 0);
  c.globalCompositeOperation = 'source-over';
  c.globalAlpha = 0.24;
  c.fillStyle = '#808080';
  c.fillRect(...all);
  c.globalAlpha = 1;
  c.globalCompositeOperation = 'destination-in';
  c.drawImage(image, 0, 0);
  night.set(image, canvas);
  return canvas;
}

function picture(c: Context, p: Picture, dark: boolean): void {
  c.save();
  c.translate(p.x, p.y);
  c.rotate(p.yaw);
  c.scale(p.scale, p.scale);
  c.drawImage(dark ? atNight(p.image) : p.image, 0, 0);
  c.restore();
}

/** The dashes of a door's line in pixels, by its mode: only one that moves or stands open has gaps. */
const doorDashes: Readonly<Record<number, readonly [number, number]>> = { 1: [7, 7], 2: [1, 11] };

function door(c: Context, px: number, d: DoorMark, chosen: boolean, palette: Palette): void {
  lines(c, [d.ends]);
  if (chosen) {
    c.lineWidth = 18 * px;
    c.strokeStyle = palette.halo;
    c.stroke();
  }
  c.lineWidth = 5 * px;
  c.strokeStyle = palette.doors[d.mode] ?? palette.doors[4] ?? '';
  c.setLineDash((doorDashes[d.mode] ?? []).map((n) => n * px));
  c.stroke();
  c.setLineDash([]);
}

function lift(c: Context, px: number, l: LiftMark, chosen: boolean, palette: Palette): void {
  c.save();
  c.translate(l.x, l.y);
  c.rotate(l.yaw);
  c.fillStyle = l.here ? palette.liftHere : palette.liftFill;
  c.fillRect(-l.width / 2, -l.depth / 2, l.width, l.depth);
  c.lineWidth = (chosen ? 3 : 1.5) * px;
  c.strokeStyle = chosen ? palette.liftSelected : palette.liftEdge;
  c.strokeRect(-l.width / 2, -l.depth / 2, l.width, l.depth);
  c.restore();
  for (const d of l.doors) door(c, px, d, false, palette);
  c.save();
  c.translate(l.x, l.y);
  c.scale(px, px);
  c.font = `11px ${palette.font}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillStyle = palette.text;
  c.fillText(l.label, 0, 0);
  c.restore();
}

const placeFont = (palette: Palette) => `11px ${palette.font}`;
const robotFont = (palette: Palette) => `650 11.5px ${palette.font}`;

function labelWidth(c: Context, text: string, palette: Palette): number {
  c.font = robotFont(palette);
  return Math.max(48, c.measureText(text).width + 8);
}

function label(c: Context, text: string, y: number, palette: Palette): void {
  c.textAlign = 'center';
  c.lineJoin = 'round';
  c.lineWidth = 3;
  c.strokeStyle = palette.textEdge;
  c.strokeText(text, 0, y);
  c.fillStyle = palette.text;
  c.fillText(text, 0, y);
}

function place(c: Context, p: Place, chosen: boolean, palette: Palette): void {
  if (chosen) {
    dot(c, 14, palette.halo);
  }
  if (p.charger) {
    c.fillStyle = palette.charger;
    c.fill(new Path2D('M1.5-7-4 1H-.5L-1.5 7 4-1H.5Z'));
    return;
  }
  c.font = placeFont(palette);
  label(c, p.name, -9, palette);
  c.rotate(Math.PI / 4);
  c.beginPath();
  c.roundRect(-4, -4, 8, 8, 1.5);
  c.fillStyle = chosen ? palette.placeSelected : palette.place;
  c.fill();
  c.lineWidth = 1.5;
  c.strokeStyle = palette.placeEdge;
  c.stroke();
}

function dot(c: Context, r: number, colour: string): void {
  c.beginPath();
  c.arc(0, 0, r, 0, 2 * Math.PI);
  c.fillStyle = colour;
  c.fill();
}

/** A ring, or a part of it from its top on, as the clock goes. */
function ring(c: Context, r: number, width: number, colour: string, part = 1): void {
  c.beginPath();
  c.arc(0, 0, r, -Math.PI / 2, -Math.PI / 2 + part * 2 * Math.PI);
  c.lineWidth = width;
  c.strokeStyle = colour;
  c.stroke();
}

/** What a robot's mark says. */
export interface Look {
  readonly id: string;
  /** A robot's status, "help" if it needs some, or "stale". */
  readonly state: string;
  /** Its charge, from 0 to 1. */
  readonly charge: number;
  readonly label: string;
  readonly selected: boolean;
}

export interface Robot extends Look, Pose {}

/** How many ways a robot's nose can point: it is drawn anew for each, not for every degree. */
const HEADINGS = 72;

/** A robot: a disc that points where it heads, its charge as a ring, a sign when it needs help. */
export function paintRobot(c: Context, f: Frame, robot: Robot, palette: Palette, stamps: Stamps): void {
  const charge = Math.round(robot.charge * 50) / 50;
  const heading = Math.round((robot.yaw / (2 * Math.PI)) * HEADINGS) % HEADINGS;
  const key = `${robot.state} ${charge} ${heading} ${robot.selected} ${palette.dark} ${robot.label}`;
  const yaw = (heading / HEADINGS) * 2 * Math.PI;
  stamps.put(c, f, robot, `robot:${robot.id}`, key, () => [labelWidth(c, robot.label, palette), 72], (own) => mark(own, robot, charge, yaw, palette));
}

function mark(c: Context, look: Look, charge: number, yaw: number, palette: Palette): void {
  const tone = palette.tones[look.state] ?? palette.tones.stale ?? '';
  c.globalAlpha = look.state === 'stale' ? 0.65 : 1;
  if (look.selected) {
    dot(c, 20, palette.halo);
    ring(c, 20, 1.5, palette.selected);
  }
  c.save();
  c.rotate(yaw);
  c.fillStyle = tone;
  c.fill(new Path2D(nose));
  c.lineWidth = 1;
  c.strokeStyle = '#fff';
  c.stroke(new Path2D(nose));
  c.restore();
  dot(c, 14, palette.ring);
  ring(c, 14, 3, palette.ringEdge);
  ring(c, 14, 3, charge < 0.25 ? palette.low : palette.charge, charge);
  dot(c, 11, tone);
  glyph(c, look.state);
  c.font = robotFont(palette);
  label(c, look.label, 29, palette);
}

const nose = 'M13-7 23 0 13 7Z';

const strokes: Readonly<Record<string, string>> = {
  help: 'M0-6V1M0 4.5V5',
  error: 'M0-6V1M0 4.5V5',
  working: 'M-4 0H3.5M.5-3.5 4 0 .5 3.5',
  offline: 'M-4-4 4 4M4-4-4 4',
  stale: 'M-4-4 4 4M4-4-4 4',
};

function glyph(c: Context, state: string): void {
  const stroke = strokes[state];
  if (stroke !== undefined) {
    c.lineWidth = 2;
    c.lineCap = 'round';
    c.lineJoin = 'round';
    c.strokeStyle = '#fff';
    c.stroke(new Path2D(stroke));
  } else if (state === 'charging') {
    c.fillStyle = '#fff';
    c.fill(new Path2D('M1.5-6.5-3.5 1H-.5L-1.5 6.5 3.5-1H.5Z'));
  } else {
    dot(c, 2.5, '#fff');
  }
}
