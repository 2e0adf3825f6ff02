import type { Locator } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { BuildingMap } from '../src/api/types';
import { boundsOf, fit } from '../src/fleet/geometry';
import { barriers } from './browser';
import { useConsole } from './console';

// The simulated site lives twenty times as fast, so that a patrol is a matter of seconds.
const { site, page, goto, row } = useConsole({ simulator: 20 });

async function dispatch(category: string, description: unknown): Promise<string> {
  const request = { category, description, requester: 'tests', unix_millis_earliest_start_time: 0 };
  const answer = await site().api('POST', '/fleet/tasks/dispatch_task', { type: 'dispatch_task_request', request });
  return (answer as { state: { booking: { id: string } } }).state.booking.id;
}

/** Waits for what takes the robots a while. They have accidents of their own: whoever is stuck is told to try again. */
async function eventually(what: Locator): Promise<void> {
  for (let tries = 0; tries < 60 && !(await what.isVisible()); tries++) {
    const alerts = (await site().api('GET', '/fleet/alerts/unresponded_requests')) as { id: string; responses_available: string[] }[];
    for (const a of alerts.filter((x) => x.responses_available.includes('Try again'))) {
      await site().api('POST', `/fleet/alerts/request/${a.id}/respond?response=Try%20again`);
    }
    await page().waitForTimeout(500);
  }
  await what.waitFor();
}

describe('the fleet', () => {
  it('shows the robots of both levels on the map, and beside it in words', async () => {
    await goto('/fleet/map?level=L1');
    const map = page().getByRole('application', { name: /^Floor plan of L1 with [1-9]\d* robots/ });
    await map.and(page().locator('[data-pictures="1"]')).waitFor();
    // A place is where the map says, and may be clicked there.
    const building = (await site().api('GET', '/fleet/building_map')) as BuildingMap;
    const level = building.levels.find((l) => l.name === 'L1');
    const place = level?.nav_graphs.flatMap((g) => g.vertices).find((v) => v.name === 'reception');
    const image = level?.images[0];
    const box = await map.boundingBox();
    if (level === undefined || place === undefined || image === undefined || box === null) throw new Error('no map, or no reception on it');
    const [w, h] = await page().evaluate(async (src) => {
      const plan = new Image();
      plan.src = src;
      await plan.decode();
      return [plan.naturalWidth, plan.naturalHeight] as const;
    }, new URL(image.data).pathname);
    const drawn = { x: image.x_offset, y: -image.y_offset, w: w * image.scale, h: h * image.scale };
    const view = fit(boundsOf(level, [drawn]), box.width / box.height);
    await map.click({ position: { x: ((place.x - view.x) / view.w) * box.width, y: ((-place.y - view.y) / view.h) * box.height } });
    await page().getByText('A place on L1').waitFor();
    expect(new URL(page().url()).searchParams.get('select')).toBe('place:reception');
    await page().getByRole('button', { name: 'All' }).click();
    await page().getByTestId('side').getByRole('button', { name: /carrier_1/ }).click();
    await page().getByText('Position').waitFor();
    expect(new URL(page().url()).searchParams.get('select')).toBe('robot:carriers/carrier_1');
    await page().getByRole('button', { name: 'Follow' }).click();
    await page().getByRole('button', { name: 'Following' }).waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('sends a patrol from the form, and follows it to its end', async () => {
    await goto('/fleet/tasks?do=task');
    const form = page().getByRole('dialog', { name: 'New task' });
    await form.getByRole('button', { name: 'Send' }).click();
    await form.getByText('Choose at least one place.').waitFor();
    await form.getByRole('combobox', { name: 'Places' }).fill('lab_b');
    await page().getByRole('option', { name: 'lab_bench' }).click();
    await page().keyboard.press('Tab');
    await form.getByRole('button', { name: 'Send' }).click();
    await page().waitForURL(/\/fleet\/tasks\/patrol/);
    await page().getByText('Go to lab_bench').first().waitFor();
    expect(await barriers(page())).toEqual([]);
    await eventually(page().locator('#content').getByText('completed', { exact: true }).first());
    await page().getByRole('button', { name: 'Send again' }).waitFor();
  }, 60_000);

  it('cancels a task, and says when it is in effect', async () => {
    const id = await dispatch('patrol', { places: ['supply', 'goods_out'], rounds: 40 });
    await goto(`/fleet/tasks/${id}`);
    await eventually(page().getByText('under way').first());
    await page().getByRole('button', { name: 'Cancel task' }).click();
    await page().getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click();
    await eventually(page().locator('#content').getByText('cancelled', { exact: true }).first());
    await page().getByText('Cancelled by').waitFor();
  }, 60_000);

  it('finds tasks by filters that stand in the address', async () => {
    await goto('/fleet/tasks?requester=tests&show=done');
    await row('supply → goods_out').waitFor();
    await page().getByLabel('Requester').fill('nobody');
    await page().getByText('No task is like that').waitFor();
    expect(page().url()).toContain('requester=nobody');
    expect(await barriers(page())).toEqual([]);
  });

  it('answers an alert', async () => {
    await site().api('POST', '/fleet/alerts/request', {
      id: 'spill', unix_millis_alert_time: Date.now(), title: 'Floor is wet', subtitle: 'L1', message: 'Something was spilled near reception.',
      display: true, tier: 'error', responses_available: ['Wiped up', 'Close the way'], alert_parameters: [], task_id: null,
    });
    await goto('/fleet/alerts');
    const alert = page().getByTestId('alert').filter({ hasText: 'Floor is wet' });
    await alert.waitFor();
    expect(await barriers(page())).toEqual([]);
    await alert.getByRole('button', { name: 'Wiped up' }).click();
    await alert.waitFor({ state: 'detached' });
    expect(await site().api('GET', '/fleet/alerts/request/spill/response')).toMatchObject({ response: 'Wiped up' });
    await page().getByText('Answered', { exact: true }).click();
    await row('Floor is wet').getByText('Wiped up').waitFor();
    expect(page().url()).toContain('show=answered');
    expect(await barriers(page())).toEqual([]);
  });

  it('finds what a robot wrote down', async () => {
    await goto('/fleet/logs');
    await page().getByText('What are you looking for?').waitFor();
    await page().getByLabel('Words in the log').fill('LAB_BENCH');
    await page().getByRole('row').filter({ hasText: /lab_bench/ }).first().waitFor();
    expect(page().url()).toContain('q=LAB_BENCH');
    expect(await barriers(page())).toEqual([]);
    await page().getByLabel('Words in the log').fill('no robot says that');
    await page().getByText('Nothing says “no robot says that”').waitFor();
  });

  it('opens a door and sees it open', async () => {
    await goto('/fleet/doors');
    const card = page().getByRole('region', { name: 'workshop_door' });
    await card.getByText('closed').waitFor();
    await card.getByRole('button', { name: 'Open' }).click();
    await card.getByText('open', { exact: true }).waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('takes a robot out of service and back', async () => {
    await goto('/fleet/robots?robot=cleaners%2Fcleaner_3');
    const drawer = page().getByRole('dialog', { name: 'cleaner_3' });
    await drawer.getByRole('button', { name: 'Decommission' }).click();
    await page().getByRole('dialog', { name: 'Decommission cleaner_3' }).getByRole('button', { name: 'Decommission' }).click();
    await drawer.getByText('out of service').waitFor();
    await drawer.getByRole('button', { name: 'Recommission' }).click();
    await drawer.getByRole('button', { name: 'Decommission' }).waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('takes a lock from a robot that keeps it', async () => {
    const waiting = { category: 'perform_action', description: { category: 'wait', description: {}, unix_millis_action_duration_estimate: 3_600_000 } };
    const id = await dispatch('compose', {
      category: 'wait', phases: [{ activity: { category: 'sequence', description: [{ category: 'go_to_place', description: 'supply' }, waiting] } }],
    });
    const holder = async (): Promise<string | undefined> => {
      const fleets = (await site().api('GET', '/fleet/fleets')) as {
        name: string; robots: Record<string, { task_id: string | null; mutex_groups: { locked: string[] | null } | null }>;
      }[];
      for (const f of fleets) {
        for (const [name, robot] of Object.entries(f.robots)) {
          // Others pass by; this one stays.
          if (robot.task_id === id && robot.mutex_groups?.locked?.includes('supply_room')) return `${f.name}/${name}`;
        }
      }
      return undefined;
    };
    let robot = await holder();
    for (let tries = 0; robot === undefined && tries < 200; tries++) {
      await page().waitForTimeout(200);
      robot = await holder();
    }
    await goto(`/fleet/robots?robot=${encodeURIComponent(robot ?? 'nobody')}`);
    await page().getByRole('button', { name: 'Unlock supply_room' }).click();
    const sure = page().getByRole('dialog', { name: 'Unlock supply_room' });
    await sure.getByText('two robots might meet').waitFor();
    expect(await barriers(page())).toEqual([]);
    await sure.getByRole('button', { name: 'Unlock it' }).click();
    await page().getByText('was told to let go of supply_room').waitFor();
    await site().api('POST', '/fleet/tasks/cancel_task', { type: 'cancel_task_request', task_id: id });
  }, 60_000);

  it('schedules a round, leaves out a day and deletes the series', async () => {
    await goto('/fleet/schedules?do=new');
    const form = page().getByRole('dialog', { name: 'New schedule' });
    await form.getByText('Clean', { exact: true }).click();
    await form.getByLabel('Zone', { exact: true }).fill('lobby_floor');
    await form.getByText('every weekday at 09:00').waitFor();
    expect(await barriers(page())).toEqual([]);
    await form.getByRole('button', { name: 'Schedule it' }).click();
    await row('every weekday at 09:00').waitFor();

    for (const [item, sign] of [['Pause', 'attached'], ['Run again', 'detached']] as const) {
      await row('lobby_floor').getByRole('button', { name: /^Change/ }).click();
      await page().getByRole('menuitem', { name: item }).click();
      await row('lobby_floor').getByText('paused', { exact: true }).waitFor({ state: sign });
    }

    await row('lobby_floor').getByRole('button', { name: /^Change/ }).click();
    await page().getByRole('menuitem', { name: /Leave out/ }).click();
    await page().getByLabel('Day', { exact: false }).last().fill('2031-05-05');
    await page().getByRole('button', { name: 'Leave it out' }).click();
    await page().getByText('not on 2031-05-05').waitFor();

    // Another day is at another time: the series leaves it out, and a schedule of its own takes its place.
    await row('lobby_floor').getByRole('button', { name: /^Change/ }).click();
    await page().getByRole('menuitem', { name: /Change one day/ }).click();
    await page().getByLabel('Day to change').fill('2031-05-06');
    await page().getByRole('textbox', { name: 'At' }).or(page().getByLabel('At', { exact: true })).first().fill('14:30');
    expect(await barriers(page())).toEqual([]);
    await page().getByRole('button', { name: 'Change this day' }).click();
    await row('every Tuesday at 14:30').waitFor();
    await page().getByText('not on 2031-05-05, 2031-05-06').waitFor();
    await row('every Tuesday at 14:30').getByRole('button', { name: /^Change/ }).click();
    await page().getByRole('menuitem', { name: /Delete/ }).click();
    await page().getByLabel('Type delete to confirm').fill('delete');
    await page().getByRole('button', { name: 'Delete the series' }).click();
    await row('every Tuesday at 14:30').waitFor({ state: 'detached' });

    await row('lobby_floor').getByRole('button', { name: /^Change/ }).click();
    await page().getByRole('menuitem', { name: /Delete/ }).click();
    await page().getByLabel('Type delete to confirm').fill('delete');
    await page().getByRole('button', { name: 'Delete the series' }).click();
    await page().getByText('Nothing is scheduled').waitFor();
  });

  it('is there on the home page', async () => {
    await goto('/');
    await page().getByRole('heading', { name: 'Running tasks' }).waitFor();
    await page().getByRole('link', { name: 'Send a robot' }).click();
    await page().getByRole('dialog', { name: 'New task' }).waitFor();
  });
});
