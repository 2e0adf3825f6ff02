import { appendFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launch, open, signIn } from './browser';
import { type Site, startSite } from './site';

const ROBOTS = 200;
// A simulated second brings one report of every fleet: ten times as fast is 10 Hz.
const HZ = 10;
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? '') || 60;

let site: Site;
let browser: Browser;

beforeAll(async () => {
  [site, browser] = await Promise.all([startSite({ simulator: HZ, robots: ROBOTS }), launch()]);
});

afterAll(async () => {
  await browser.close();
  await site.stop();
});

/** From what a person does to the frame that shows it, in milliseconds, by kind. */
type Waits = Record<string, number[]>;

/** How long the browser itself takes for a turn of the wheel that a page keeps to itself. */
async function wheelAlone(): Promise<number[]> {
  const page = await browser.newPage();
  await page.setContent('<div style="height: 100vh"></div>');
  await page.evaluate(() => window.addEventListener('wheel', (event) => event.preventDefault(), { passive: false }));
  await measure(page);
  await page.mouse.move(100, 100);
  for (let round = 0; round < ROUNDS; round++) await page.mouse.wheel(0, round % 2 === 0 ? -240 : 240);
  const { wheel } = await page.evaluate(() => (window as unknown as { waits: Waits }).waits);
  await page.close();
  return wheel ?? [];
}

/** Has the page note how long each input takes until the frame after it is drawn. */
async function measure(page: Page): Promise<void> {
  await page.evaluate(() => {
    const waits: Waits = {};
    (window as unknown as { waits: Waits }).waits = waits;
    for (const kind of ['wheel', 'pointermove', 'pointerdown', 'click', 'keydown']) {
      window.addEventListener(
        kind,
        (event) => {
          const begun = event.timeStamp;
          requestAnimationFrame(() => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => (waits[kind] ??= []).push(performance.now() - begun);
            port2.postMessage(null); // runs once the frame is drawn
          });
        },
        { capture: true, passive: true },
      );
    }
  });
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

it(`answers at once on the map with ${ROBOTS} robots at ${HZ} Hz`, async () => {
  const alone = await wheelAlone();
  const { page } = await open(browser);
  await signIn(page, site.url, 'admin', site.password);
  await page.goto(`${site.url}/ui/fleet/map?level=L1`);
  const map = page.getByRole('application', { name: /^Floor plan of L1 with (?:[5-9]\d|\d{3}) robots/ });
  await map.waitFor();
  const shown = /with (\d+) robots/.exec((await map.getAttribute('aria-label')) ?? '')?.[1] ?? '?';
  // Half of the robots are on their way while it is measured.
  const patrol = { category: 'patrol', description: { places: ['supply', 'goods_out'], rounds: 10 } };
  for (let n = 0; n < ROBOTS / 2; n++) await site.api('POST', '/fleet/tasks/dispatch_task', { type: 'dispatch_task_request', request: patrol });
  await measure(page);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration')?.value ?? 0;
  const [before, since] = [await busy(), Date.now()];
  await page.waitForTimeout(10_000);
  const share = (((await busy()) - before) * 1000) / ((Date.now() - since) / 1000);
  const plan = await page.getByTestId('plan').boundingBox();
  if (plan === null) throw new Error('there is no plan');
  const [x, y] = [plan.x + plan.width / 2, plan.y + plan.height / 2];
  for (let round = 0; round < ROUNDS; round++) {
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, round % 2 === 0 ? -240 : 240);
    await page.mouse.down();
    await page.mouse.move(x + 40, y + 25, { steps: 5 });
    await page.mouse.up();
    await page.mouse.click(x - 60 + 2 * round, y - 40 + round);
    await page.keyboard.press('Escape');
  }
  const waits = await page.evaluate(() => (window as unknown as { waits: Waits }).waits);
  const all = Object.values(waits).flat().sort((a, b) => a - b);
  const row = (name: string, list: number[]) => {
    const sorted = [...list].sort((a, b) => a - b);
    return `| ${name} | ${sorted.length} | ${[0.5, 0.95, 0.99].map((part) => `${percentile(sorted, part).toFixed(1)} ms`).join(' | ')} |`;
  };
  const table = [
    '',
    `### The console's map, ${ROBOTS} robots at ${HZ} Hz, ${shown} of them on the level that is shown and on their way`,
    '',
    'From an input to the end of the frame that shows it, in headless Chromium, which draws without a graphics card and shares',
    'the processor with the server and the simulated site.',
    '',
    '| input | times | p50 | p95 | p99 |',
    '|---|---|---|---|---|',
    ...Object.entries(waits).map(([kind, list]) => row(kind, list)),
    row('all', all),
    row('for comparison: wheel on an empty page', alone),
    '',
    `While nobody touches it the page takes ${share.toFixed(0)} ms of processor time a second.`,
    '',
  ].join('\n');
  console.log(table);
  if (process.env.BENCH_OUT !== undefined) appendFileSync(process.env.BENCH_OUT, table);
  expect(all.length).toBeGreaterThan(ROUNDS * 5);
});
