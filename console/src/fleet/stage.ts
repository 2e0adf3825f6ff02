import { centred, type Pose, Track, type View, zoom } from './geometry';
import { clear, type Frame, type Look, type Palette, paintGround, paintRobot, type Robot, Stamps } from './paint';
import type { Scene } from './scene';

/** How much of a level is seen around a robot that is followed, in metres. */
const CLOSE = 16;

/** Between two drawings of robots that glide, in milliseconds: they are slow, and whoever turns the map is not. */
const GLIDE = 30;

/** A robot on this level, and where it was when the page came to know it. */
export interface Actor extends Look {
  readonly first: Pose;
}

/**
 * One level on two canvases: the ground, drawn when the view or the building changes, and above it the
 * robots, which glide from report to report. Everything is drawn in the animation frame, and there is one
 * only while something changes.
 */
export class Stage {
  private view: View = { x: 0, y: 0, w: 10, h: 10 };
  private readonly tracks = new Map<string, Track>();
  private readonly stamps = new Stamps();
  private scene: Scene | undefined;
  private palette: Palette | undefined;
  private actors: readonly Actor[] = [];
  private drawn: readonly Robot[] = [];
  private width = 0;
  private density = 1;
  private followed = '';
  private ground = true;
  private robots = true;
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ended = false;

  constructor(
    private readonly below: HTMLCanvasElement,
    private readonly above: HTMLCanvasElement,
    private readonly still: boolean,
  ) {}

  end(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.ended = true;
  }

  /** The part of the plane that is shown. */
  shown(): View {
    return this.view;
  }

  /** How many pixels a metre takes. */
  metre(): number {
    return this.width / this.view.w;
  }

  /** The robots where they are drawn, in the order of drawing. */
  standing(): readonly Robot[] {
    return this.drawn;
  }

  /** The size in pixels, told when it changes: asking for it in a frame would cost a layout. */
  resize(width: number, height: number): void {
    this.width = width;
    this.density = window.devicePixelRatio;
    for (const c of [this.below, this.above]) {
      c.width = Math.round(width * this.density);
      c.height = Math.round(height * this.density);
    }
    this.ground = true;
    this.wake();
  }

  show(view: View): void {
    this.view = view;
    this.ground = true;
    this.wake();
  }

  build(scene: Scene, palette: Palette): void {
    this.scene = scene;
    this.palette = palette;
    this.ground = true;
    this.wake();
  }

  cast(actors: readonly Actor[]): void {
    this.actors = actors;
    this.robots = true;
    this.wake();
  }

  follow(id: string): void {
    this.followed = id;
    this.show(id !== '' && this.view.w > CLOSE ? zoom(this.view, CLOSE / this.view.w) : this.view);
  }

  /** A robot was seen at a place. */
  see(id: string, pose: Pose): void {
    const now = performance.now();
    const track = this.tracks.get(id);
    if (track === undefined) this.tracks.set(id, new Track(pose, now));
    else track.see(pose, now);
    // For those who want no motion the next cast will do.
    if (!this.still && this.timer === undefined) this.wake();
  }

  /** Asks for one animation frame. */
  private wake(): void {
    if (this.frame !== 0 || this.ended) return;
    this.frame = requestAnimationFrame((now) => {
      this.frame = 0;
      clearTimeout(this.timer);
      this.timer = undefined;
      this.draw(now);
    });
  }

  private draw(now: number): void {
    const { scene, palette } = this;
    if (scene === undefined || palette === undefined || this.width === 0) return;
    this.move(now);
    if (!this.ground && !this.robots) return;
    const frame: Frame = { view: this.view, metre: this.metre(), density: this.density };
    const [lower, upper] = [this.below.getContext('2d'), this.above.getContext('2d')];
    if (lower === null || upper === null) return;
    if (this.ground) paintGround(lower, frame, scene, palette, this.stamps);
    clear(upper);
    for (const r of this.drawn) paintRobot(upper, frame, r, palette, this.stamps);
    this.ground = false;
    this.robots = false;
  }

  /** Asks every track where its robot is by now, and for another frame while one of them glides. */
  private move(now: number): void {
    let moved = this.drawn.length !== this.actors.length;
    this.drawn = this.actors.map((actor, i) => {
      const pose = this.tracks.get(actor.id)?.at(now) ?? actor.first;
      const last = this.drawn[i];
      moved ||= last?.id !== actor.id || last.x !== pose.x || last.y !== pose.y || last.yaw !== pose.yaw;
      return { ...actor, ...pose };
    });
    this.robots ||= moved;
    const followed = this.drawn.find((r) => r.id === this.followed);
    if (!this.still && this.drawn.some((r) => this.tracks.get(r.id)?.glides(now))) {
      if (followed !== undefined) this.wake();
      else this.timer ??= setTimeout(() => this.wake(), GLIDE);
    }
    if (followed === undefined) return;
    const view = centred(this.view, followed.x, followed.y);
    if (view.x !== this.view.x || view.y !== this.view.y) this.show(view);
  }
}
