import { describe, expect, it } from 'vitest';
import type { Level, Lift, LiftState } from '../api/types';
import { pick, sceneOf } from './scene';

const vertex = (name: string, x: number, y: number, charger = false) => ({
  name,
  x,
  y,
  params: charger ? [{ name: 'is_charger', type: 4, value_int: 0, value_float: 0, value_string: '', value_bool: true }] : [],
});

const level: Level = {
  name: 'L1',
  elevation: 0,
  images: [],
  places: [],
  doors: [{ name: 'gate', v1_x: 4, v1_y: 2, v2_x: 6, v2_y: 2, door_type: 1, motion_range: 1.5, motion_direction: 1 }],
  nav_graphs: [
    {
      name: '0',
      vertices: [vertex('desk', 1, 3), vertex('dock', 8, 3, true), vertex('', 4, 5)],
      edges: [{ v1_idx: 0, v2_idx: 2, edge_type: 0, params: [] }, { v1_idx: 0, v2_idx: 9, edge_type: 0, params: [] }],
      params: [],
    },
  ],
  wall_graph: { name: 'walls', vertices: [vertex('', 0, 0), vertex('', 9, 0)], edges: [{ v1_idx: 0, v2_idx: 1, edge_type: 0, params: [] }], params: [] },
};

const lift: Lift = { name: 'lift_1', levels: ['L1', 'L2'], doors: [], wall_graph: level.wall_graph, ref_x: 12, ref_y: 4, ref_yaw: Math.PI / 4, width: 2, depth: 2 };

function scene(selected = '', floor?: string) {
  const lifts = new Map<string, LiftState>();
  if (floor !== undefined) {
    const state: Partial<LiftState> = { current_floor: floor, door_state: 2 };
    lifts.set('lift_1', state as LiftState);
  }
  return sceneOf(level, [lift, { ...lift, name: 'elsewhere', levels: ['L3'] }], [], { doors: new Map(), lifts }, selected);
}

describe('a scene', () => {
  it('has what is on the level, upside down, as a screen has it', () => {
    const s = scene();
    expect(s.places.map((p) => [p.name, p.x, p.y, p.charger])).toEqual([
      ['desk', 1, -3, false],
      ['dock', 8, -3, true],
    ]);
    expect(s.lanes, 'an edge to nowhere is left out').toHaveLength(1);
    expect(s.walls).toHaveLength(1);
    expect(s.doors.map((d) => [d.name, d.mode]), 'a door that said nothing').toEqual([['gate', 4]]);
    expect(s.lifts.map((l) => [l.name, l.here, l.label])).toEqual([['lift_1', false, 'lift_1 · ?']]);
  });
  it('says where a lift is', () => {
    expect(scene('', 'L1').lifts[0]).toMatchObject({ here: true, label: 'lift_1' });
    expect(scene('', 'L2').lifts[0]).toMatchObject({ here: false, label: 'lift_1 · L2' });
  });
});

describe('what is under a pointer', () => {
  const robots = [
    { id: 'fleet/below', x: 1, y: -3 },
    { id: 'fleet/above', x: 1.1, y: -3 },
  ];
  // At 20 pixels a metre a place is 0.7 m wide around its middle, a robot 0.9 m, a door 0.45 m.
  it.each([
    ['the topmost robot', 1, -3, 'robot:fleet/above'],
    ['a robot at its rim', 1.95, -3, 'robot:fleet/above'],
    ['a place', 8, -3.6, 'place:dock'],
    ['nothing beside a place', 8, -3.8, ''],
    ['a door between its ends', 5, -2.4, 'door:gate'],
    ['nothing beyond its end', 6.6, -2, ''],
    ['a lift, turned', 12, -5.3, 'lift:lift_1'],
    ['nothing at the corner that it has not', 12.95, -4.95, ''],
  ])('%s', (_, x, y, what) => expect(pick(scene(), robots, { x, y }, 20)).toBe(what));
});
