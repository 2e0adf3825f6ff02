import { describe, expect, it } from 'vitest';
import { centred, fit, Track, turn, zoom } from './geometry';

describe('a view', () => {
  it('fits what it shows, whatever its shape', () => {
    expect(fit({ x: 0, y: 0, w: 10, h: 10 }, 2)).toEqual({ x: -5, y: 0, w: 20, h: 10 });
    expect(fit({ x: 0, y: 0, w: 40, h: 10 }, 2)).toEqual({ x: 0, y: -5, w: 40, h: 20 });
  });
  it('zooms around a point that stays where it is', () => {
    const z = zoom({ x: 0, y: 0, w: 20, h: 10 }, 0.5, 0.25, 1);
    expect(z).toEqual({ x: 2.5, y: 5, w: 10, h: 5 });
    expect(zoom(z, 0.0001).w).toBe(3);
    expect(zoom(z, 1e9).w).toBe(1000);
  });
  it('centres', () => expect(centred({ x: 0, y: 0, w: 4, h: 2 }, 10, 10)).toEqual({ x: 8, y: 9, w: 4, h: 2 }));
});

describe('a heading', () => {
  it.each([
    [0, 1, 1],
    [3, -3, 2 * Math.PI - 6],
    [-3, 3, 6 - 2 * Math.PI],
    [0, 4 * Math.PI, 0],
  ])('turns from %d to %d by %d', (a, b, d) => expect(turn(a, b)).toBeCloseTo(d));
});

describe('a track', () => {
  it('glides between reports and arrives with the next', () => {
    const t = new Track({ x: 0, y: 0, yaw: 0 }, 0);
    t.see({ x: 1, y: 0, yaw: 1 }, 1000);
    expect([1000, 1500, 2000, 9000].map((at) => t.at(at).x)).toEqual([0, 0.5, 1, 1]);
    t.see({ x: 2, y: 0, yaw: 1 }, 1500);
    expect(t.at(1500).x).toBe(0.5);
    expect(t.at(2000).x).toBe(2);
  });
  it('jumps where no robot drives', () => {
    const t = new Track({ x: 0, y: 0, yaw: 0 }, 0);
    t.see({ x: 50, y: 0, yaw: 0 }, 100);
    expect(t.at(100).x).toBe(50);
  });
});
