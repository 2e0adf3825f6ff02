import type { Locator } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { barriers, open, signIn } from './browser';
import { useConsole } from './console';

const { site, page, browser, goto, row } = useConsole();

const step = (name: string, command: string, inputs: string[], outputs: string[]) => ({
  type: 'component',
  name,
  description: `Does ${name}`,
  inputs: inputs.map((n) => ({ name: n, type: 'parameter' })),
  outputs: outputs.map((n) => ({ name: n, type: 'parameter' })),
  implementation: {
    type: 'brick',
    container: { name: 'main', image: 'busybox:1.37', command: ['sh', '-c', command] },
    args: inputs.map((n) => ({ source: { port: n }, target: { type: 'parameter' } })),
    results: outputs.map((n) => ({ source: { file: `/tmp/${n}` }, target: { port: n } })),
  },
});

/** One dot. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

async function create(kind: 'component' | 'workflow', doc: unknown): Promise<string> {
  const answer = await site().api('POST', `/workflows/api/v1/${kind}s/`, { [kind]: doc });
  return (answer as { uid: string }).uid;
}

/** The three steps that the stories build graphs of. */
async function furnish(mark: string): Promise<void> {
  await create('component', step(`make-${mark}`, 'printf 20 > /tmp/number', [], ['number']));
  await create('component', step(`double-${mark}`, 'echo "doubling $0"; printf $(($0 * 2)) > /tmp/twice', ['number'], ['twice']));
  await create('component', step(`say-${mark}`, 'printf "It is $0." > /tmp/words', ['what'], ['words']));
}

const canvas = () => page().getByTestId('canvas');
const node = (id: string) => canvas().getByTestId(`node-${id}`);
const side = () => page().getByTestId('side');

/** Drags something from the list onto the canvas, to a place given in parts of it. */
async function put(what: string, x: number, y: number): Promise<void> {
  const box = await canvas().boundingBox();
  if (box === null) throw new Error('the canvas is not there');
  await side().getByRole('button', { name: what }).dragTo(canvas(), { targetPosition: { x: box.width * x, y: box.height * y } });
}

/** Draws a connection with the mouse, from port to port. */
async function wire(from: Locator, to: Locator): Promise<void> {
  const [a, b] = [await from.boundingBox(), await to.boundingBox()];
  if (a === null || b === null) throw new Error('a port is not there');
  await page().mouse.move(a.x + a.width / 2, a.y + a.height / 2);
  await page().mouse.down();
  await page().mouse.move((a.x + b.x) / 2, (a.y + b.y) / 2, { steps: 6 });
  await page().mouse.move(b.x + b.width / 2, b.y + b.height / 2, { steps: 6 });
  await page().mouse.up();
}

const tab = (name: RegExp) => page().getByRole('radiogroup', { name: 'Beside the canvas' }).getByText(name).click();
const saved = () => page().getByRole('status').filter({ hasText: /^Saved$/ }).waitFor();

describe('workflows', () => {
  it('builds a graph of three nodes by dragging, and keeps form, text and canvas in step', async () => {
    await furnish('a');
    await goto('/workflows/library/edit/workflow/new?workspace=sandbox');
    await put('make-a', 0.15, 0.3);
    await node('make-a').waitFor();
    await tab(/^Add$/);
    await put('double-a', 0.45, 0.5);
    await node('double-a').waitFor();
    await tab(/^Add$/);
    await put('say-a', 0.7, 0.7);
    await node('say-a').waitFor();

    await page().getByRole('button', { name: 'Show everything' }).click();
    await wire(node('make-a').getByTestId('source-number'), node('double-a').getByTestId('target-number'));
    await wire(node('double-a').getByTestId('source-twice'), node('say-a').getByTestId('target-what'));
    await canvas().getByRole('group', { name: /A text from make-a number to double-a number/ }).waitFor({ state: 'attached' });
    await canvas().getByRole('group', { name: /A text from double-a twice to say-a what/ }).waitFor({ state: 'attached' });

    // The workflow's own name and an output, in the form.
    await canvas().locator('.react-flow__pane').click({ position: { x: 12, y: 12 } });
    await tab(/^Form$/);
    await side().getByLabel('Workflow', { exact: true }).fill('Twice a');
    await side().getByRole('button', { name: 'Add an output' }).click();
    await side().getByLabel('Name of output output').fill('answer');
    await canvas().getByTestId('outputs').getByText('answer').waitFor();
    await page().getByRole('button', { name: 'Show everything' }).click();
    await wire(node('say-a').getByTestId('source-words'), canvas().getByTestId('outputs').getByTestId('target-answer'));
    await canvas().getByRole('group', { name: /to output answer/ }).waitFor({ state: 'attached' });

    // Undo takes the connection away, redo brings it back.
    await page().getByRole('button', { name: 'Undo' }).click();
    await canvas().getByRole('group', { name: /to output answer/ }).waitFor({ state: 'detached' });
    await page().getByRole('button', { name: 'Redo' }).click();
    await canvas().getByRole('group', { name: /to output answer/ }).waitFor({ state: 'attached' });

    // What is typed into the text is on the canvas at once.
    await tab(/^JSON$/);
    const text = side().getByLabel('The document as JSON');
    await text.fill((await text.inputValue()).replaceAll('"make-a"', '"source"'));
    await node('source').waitFor();
    await canvas().getByRole('group', { name: /A text from source number/ }).waitFor({ state: 'attached' });

    await page().getByRole('button', { name: 'Arrange the nodes' }).click();
    await tab(/^Findings/);
    await side().getByText('Nothing is wrong').waitFor();
    await page().getByRole('button', { name: 'Save', exact: true }).click();
    await page().waitForURL(/\/workflows\/library\/edit\/workflow\/[0-9a-f-]{36}/);
    await saved();
    expect(await barriers(page())).toEqual([]);

    await page().reload();
    await node('source').waitFor();
    await page().getByRole('heading', { name: 'Twice a' }).waitFor();

    // It runs, and what it gave is there.
    await page().getByRole('button', { name: 'Run', exact: true }).click();
    await page().waitForURL(/\/workflows\/library\/run\//);
    await page().getByLabel('Description').fill('from the story');
    await page().getByText('It can run.').waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().getByRole('button', { name: 'Start the run' }).click();
    await page().waitForURL(/\/workflows\/runs\/[0-9a-f-]{36}/);
    await page().getByRole('region', { name: 'Value of answer' }).getByText('It is 40.').waitFor({ timeout: 30_000 });
    await node('double-a').getByText('succeeded').waitFor();
    expect(await barriers(page())).toEqual([]);

    // One selection for the graph and the timeline; what the step wrote can be searched.
    await canvas().getByRole('group', { name: /^Node double-a/ }).focus();
    await page().keyboard.press('Enter');
    await page().getByTestId('step-double-a').and(page().locator('[aria-pressed=true]')).waitFor();
    await page().getByRole('region', { name: 'Value of twice' }).getByText('40').waitFor();
    const log = page().getByRole('region', { name: 'Log', exact: true });
    await log.getByText('doubling 20').waitFor();
    await page().getByLabel('Search the log').fill('DOUBL');
    await log.locator('mark').getByText('doubl').waitFor();
    expect(await barriers(page())).toEqual([]);

    await goto('/workflows/runs?workflow=Twice');
    await row('Twice a').getByText('succeeded').waitFor();
    await row('from the story').waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().getByRole('radiogroup', { name: 'State' }).getByText('Failed').click();
    await page().getByText('No run is like that').waitFor();
  }, 120_000);

  it('shows a picture that a run made, and every step of a loop', async () => {
    const picture = {
      type: 'component', uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e11', name: 'draw', inputs: [], outputs: [{ name: 'plot', type: 'artifact' }],
      implementation: {
        type: 'brick', results: [{ source: { file: '/tmp/plot.png' }, target: { port: 'plot' } }],
        container: { name: 'main', image: 'busybox:1.37', command: ['sh', '-c', `printf %s '${PNG}' | base64 -d > /tmp/plot.png`] },
      },
    };
    const each = {
      type: 'component', uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e12', name: 'each', inputs: [{ name: 'names', type: 'parameter_array' }], outputs: [{ name: 'greetings', type: 'parameter_array' }],
      implementation: {
        type: 'map', node: { ...step('greet', 'echo "greeting $0"; printf "Hello $0" > /tmp/greeting', ['name'], ['greeting']), uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e13' },
        inputMappings: [{ source: { port: 'names' }, target: { port: 'name' } }], outputMappings: [{ source: { port: 'greeting' }, target: { port: 'greetings' } }],
      },
    };
    const uid = await create('workflow', {
      type: 'workflow', name: 'Picture', workspace: 'sandbox',
      component: {
        type: 'component', uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e10', inputs: [{ name: 'names', type: 'parameter_array' }], outputs: [{ name: 'plot', type: 'artifact' }, { name: 'greetings', type: 'parameter_array' }],
        implementation: {
          type: 'graph', nodes: [{ id: 'draw', node: picture }, { id: 'each', node: each }],
          inputMappings: [{ source: { port: 'names' }, target: { node: 'each', port: 'names' } }],
          outputMappings: [{ source: { node: 'draw', port: 'plot' }, target: { port: 'plot' } }, { source: { node: 'each', port: 'greetings' }, target: { port: 'greetings' } }],
        },
      },
    });
    await goto(`/workflows/library/run/${uid}`);
    await page().getByRole('button', { name: 'Start the run' }).click();
    await page().getByText('at least one element').waitFor();
    await page().getByLabel('names').fill('Ada\nGrace\n');
    await page().getByRole('button', { name: 'Start the run' }).click();
    await page().waitForURL(/\/workflows\/runs\/[0-9a-f-]{36}/);
    const seen = page().getByRole('img', { name: 'Preview of plot.png' });
    await seen.waitFor({ timeout: 30_000 });
    expect(await seen.evaluate((e: HTMLImageElement) => e.decode().then(() => e.naturalWidth))).toBe(1);
    await page().getByRole('region', { name: 'Value of greetings' }).getByText('Hello Grace').waitFor();
    await node('each').getByRole('button', { name: /Look inside each/ }).click();
    await node('node').getByText('succeeded').waitFor();
    await page().getByRole('list', { name: 'Steps' }).getByRole('button', { name: /each › 1: Grace/ }).click();
    await page().getByRole('region', { name: 'Log', exact: true }).getByText('greeting Grace').waitFor();
    await page().getByLabel('Which of them').selectOption({ label: 'each › 0: Ada (succeeded)' });
    await page().getByRole('region', { name: 'Log', exact: true }).getByText('greeting Ada').waitFor();
    expect(await barriers(page())).toEqual([]);
  }, 90_000);

  it('stops a run, and says why one failed', async () => {
    const uid = await create('workflow', { type: 'workflow', name: 'Slow', workspace: 'sandbox', component: { ...step('slow', 'echo begun; sleep 300', [], []), uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e21' } });
    await goto(`/workflows/library/run/${uid}`);
    await page().getByRole('button', { name: 'Start the run' }).click();
    await page().waitForURL(/\/workflows\/runs\/[0-9a-f-]{36}/);
    await page().locator('#content').getByText('running').first().waitFor();
    await page().getByRole('button', { name: 'Stop' }).click();
    await page().getByRole('dialog').getByRole('button', { name: 'Stop it' }).click();
    await page().locator('#content').getByText('failed', { exact: true }).first().waitFor();
    await page().getByText('Why it did not succeed').waitFor();
    await page().getByRole('button', { name: 'Retry' }).waitFor();
    expect(await barriers(page())).toEqual([]);
  }, 90_000);

  it('shows what is wrong on the node that it concerns, as one types', async () => {
    await furnish('b');
    await goto('/workflows/library/edit/component/new?as=graph');
    await put('double-b', 0.4, 0.4);
    await node('double-b').getByTestId('finding-mark').waitFor();
    await tab(/^Findings/);
    await side().getByRole('list', { name: 'Findings' }).getByText(/number/).first().click();
    // Its form is open, and says what could feed the port.
    await side().getByLabel(/number \(text\)/).waitFor();
    await tab(/^Add$/);
    await side().getByRole('button', { name: 'make-b' }).focus();
    await page().keyboard.press('Enter');
    await node('make-b').waitFor();
    await canvas().getByRole('group', { name: /^Node double-b/ }).focus();
    await page().keyboard.press('Enter');
    await side().getByLabel(/number \(text\)/).selectOption('make-b.number');
    await node('double-b').getByTestId('finding-mark').waitFor({ state: 'detached' });
    expect(await barriers(page())).toEqual([]);

    await page().keyboard.press('Control+z');
    await node('double-b').getByTestId('finding-mark').waitFor();
  });

  it('goes into a nested graph and back, and keeps what was not saved', async () => {
    await goto('/workflows/library/edit/component/new?as=graph');
    await side().getByRole('button', { name: 'New graph' }).click();
    await node('graph').getByRole('button', { name: 'Look inside graph' }).click();
    expect(page().url()).toContain('in=graph');
    await tab(/^Add$/);
    await side().getByRole('button', { name: 'New brick' }).click();
    await node('brick').waitFor();
    await node('brick').getByRole('button', { name: 'Look inside brick' }).click();
    await tab(/^Form$/);
    await side().getByLabel('Image').fill('python:3.12');
    await canvas().waitFor({ state: 'detached' });
    await page().locator('pre').waitFor();
    await page().getByText('python:3.12').first().waitFor();
    await page().getByRole('navigation', { name: 'Where you are in it' }).getByRole('button', { name: 'graph', exact: true }).click();
    await node('brick').waitFor();
    // The draft is written a moment after the last change.
    await page().waitForFunction(() => (sessionStorage.getItem('draft:component:new') ?? '').includes('python:3.12'));
    await page().reload();
    await page().getByText('Your changes from before are back').waitFor();
    await node('brick').waitFor();
    await page().evaluate(() => sessionStorage.removeItem('draft:component:new'));
  });

  it('finds components in the library, and shows what changed between two versions', async () => {
    const uid = await create('component', step('measure', 'printf 1 > /tmp/value', [], ['value']));
    const changed = { ...step('measure', 'printf 2 > /tmp/value', ['unit'], ['value']), uid };
    await site().api('PUT', `/workflows/api/v1/components/${uid}`, { component: changed });
    await goto('/workflows/library?what=component');
    await page().getByLabel('Name', { exact: true }).fill('meas');
    await row('measure').waitFor();
    await page().waitForURL(/q=meas/);
    await page().getByText('1 component', { exact: true }).waitFor();
    expect(await barriers(page())).toEqual([]);
    await row('measure').getByRole('link', { name: 'measure', exact: true }).click();
    await page().getByRole('region', { name: 'What changed' }).getByText('input unit').waitFor();
    await page().getByRole('region', { name: 'Differences' }).getByText('the container’s command').waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('warns the second of two who change the same version', async () => {
    const uid = await create('component', step('shared', 'true', [], []));
    await goto(`/workflows/library/edit/component/${uid}`);
    await tab(/^Form$/);
    await side().getByLabel('Description').fill('mine');
    const theirs = (await site().api('GET', `/workflows/api/v1/components/${uid}`)) as object;
    await site().api('PATCH', `/workflows/api/v1/components/${uid}`, { component: { ...theirs, description: 'theirs' } });
    await page().getByText('Somebody has saved it meanwhile').waitFor();
    await page().getByRole('button', { name: 'Save', exact: true }).click();
    await page().getByText('Somebody was quicker').waitFor();
    await page().getByRole('button', { name: 'Publish mine as a new version' }).click();
    await page().getByText('Version 2 of this component.').waitFor();
    expect(await site().api('GET', `/workflows/api/v1/components/${uid}`)).toMatchObject({ description: 'mine', version: { current: 2 } });
  });

  it('sets a secret, registers a volume and adds a member', async () => {
    await site().api('POST', '/workflows/api/v1/workspaces/', { name: 'imaging', roles: [['admin@example.org--$owner'], ['mri']] });
    await goto('/workflows/workspaces/imaging?tab=secrets');
    await page().getByText('No secret yet').waitFor();
    await page().getByLabel('Secret', { exact: true }).fill('API_KEY');
    await page().getByLabel('Value', { exact: true }).fill('hush');
    await page().getByRole('button', { name: 'Set it' }).click();
    await row('API_KEY').waitFor();
    expect(await barriers(page())).toEqual([]);
    await goto('/workflows/workspaces/imaging?tab=volumes');
    await page().getByLabel('Name', { exact: true }).fill('scans');
    await page().getByLabel('Name of the claim').fill('team-scans');
    await page().getByRole('button', { name: 'Register it' }).click();
    await row('scans').getByText('storage team-scans').waitFor();
    expect(await barriers(page())).toEqual([]);
    await goto('/workflows/workspaces/imaging');
    await row('mri').waitFor();
    await page().getByLabel('Add a person').fill('ada@example.org');
    await page().getByRole('button', { name: 'Add', exact: true }).click();
    await row('ada@example.org').waitFor();
    expect(await site().api('GET', '/workflows/api/v1/workspaces/imaging')).toMatchObject({ roles: [['admin@example.org--$owner'], ['mri'], ['ada@example.org--$collaborator']] });
    expect(await barriers(page())).toEqual([]);
    await goto('/workflows/workspaces');
    await row('imaging').waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('is usable on a phone', async () => {
    const uid = await create('workflow', { type: 'workflow', name: 'On a phone', workspace: 'sandbox', component: { ...step('hello', 'true', ['name'], []), uid: '8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e07' } });
    const phone = await open(browser(), { viewport: { width: 390, height: 800 }, hasTouch: true });
    await signIn(phone.page, site().url, 'admin', site().password);
    for (const path of ['/workflows/runs', '/workflows/library', `/workflows/library/edit/workflow/${uid}`, `/workflows/library/run/${uid}`, '/workflows/workspaces/sandbox']) {
      await phone.page.goto(`${site().url}/ui${path}`);
      await phone.page.locator('#page-title').waitFor();
      await phone.quiet();
      const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect([path, wide]).toEqual([path, 0]);
      expect(await barriers(phone.page)).toEqual([]);
    }
    expect(phone.complaints).toEqual([]);
    await phone.page.context().close();
  });
});
