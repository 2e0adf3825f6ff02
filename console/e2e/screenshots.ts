import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deflateSync, crc32 } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { launch, open, signIn } from './browser';
import { binary, type Site, startSite } from './site';

const folder = resolve(import.meta.dirname, '../../docs/screenshots');
const looks = [
  { name: 'light', options: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' as const } },
  { name: 'dark', options: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' as const } },
  { name: 'phone', options: { viewport: { width: 390, height: 800 }, colorScheme: 'light' as const } },
];

let site: Site;
let browser: Browser;
let pages: { name: string; path: string; ready?: (page: Page) => Promise<void> }[];

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  [site, browser] = await Promise.all([startSite({ simulator: 4 }), launch()]);
  // ONLY=apps photographs the pages whose names begin so.
  const only = process.env.ONLY ?? '';
  pages = [...(await furnish(site)), ...(await furnishApps(site))].filter((p) => p.name.startsWith(only));
});

afterAll(async () => {
  await browser.close();
  await site.stop();
});

describe('screenshots', () => {
  for (const look of looks) {
    it(`of every page, ${look.name}`, async () => {
      const { page, quiet } = await open(browser, { ...look.options, reducedMotion: 'reduce' });
      await page.goto(`${site.url}/ui/`);
      await page.getByRole('link', { name: 'Sign in' }).waitFor();
      await shoot(page, `sign-in-${look.name}`);
      await signIn(page, site.url, 'admin', site.password);
      for (const { name, path, ready } of pages) {
        const own = path.startsWith('/open/');
        await page.goto(own ? site.url + path : `${site.url}/ui${path}`);
        if (!own) await page.locator('#page-title').waitFor();
        if (!own) await page.getByLabel('Connection: Live').waitFor();
        await ready?.(page);
        if (!own) await quiet();
        await shoot(page, `${name}-${look.name}`);
      }
      await page.context().close();
    });
  }
});

async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled', caret: 'hide' });
}

/** Fills the site with what a real one has after some days. */
async function furnish(s: Site) {
  await s.put('/results/local?project_id=oncology', { name: 'cohort.csv', type: 'text/csv', content: cohort() }, { tag: 'baseline' });
  await s.put('/results/local?project_id=oncology', { name: 'training.log', type: 'text/plain', content: log() });
  await s.put('/results/local?project_id=imaging', { name: 'roc-curve.png', type: 'image/png', content: curve() }, { tag: 'model-v2' });
  await s.put('/results/local?project_id=imaging', { name: 'weights.bin', type: 'application/octet-stream', content: noise(300_000) }, { tag: 'model-v2' });
  await s.put('/results/local?project_id=cardio-2026', { name: 'summary.json', type: 'application/json', content: '{"patients": 1204, "auc": 0.913}\n' });
  const analysis = (n: number) => `6f1c2a52-7d3b-4d62-9b0e-0f6f1b1c0a0${n}`;
  await s.final(analysis(1), { name: 'final-model.bin', type: 'application/octet-stream', content: noise(120_000) });
  await s.final(analysis(2), { name: 'aggregate.csv', type: 'text/csv', content: cohort() });
  await s.hubDown();
  await s.final(analysis(3), { name: 'survival-curves.csv', type: 'text/csv', content: cohort() });
  await s.final(analysis(4), { name: 'report.pdf', type: 'application/pdf', content: noise(90_000) });

  const people = ['Mara Lindqvist', 'Jon Okafor', 'Ines Duarte', 'Tomasz Nowak', 'Ravi Subramaniam'];
  const ids: string[] = [];
  for (const name of people) {
    const login = name.toLowerCase().replace(' ', '.');
    const answer = await s.api('POST', '/api/v1/users', {
      issuer: 'https://login.example.org',
      subject: login,
      name,
      email: `${login}@example.org`,
    });
    ids.push((answer as { id: string }).id);
  }
  const roles: [string, string, [string, string][]][] = [
    ['operator', 'Runs the site day to day: the queue, sessions, the log', [['site', 'audit.read'], ['site', 'sessions.read'], ['site', 'sessions.write'], ['site', 'config.read'], ['*', 'results.uploads.read'], ['*', 'results.uploads.write']]],
    ['oncology', 'Reads and stores the oncology project’s results', [['oncology', 'results.read'], ['oncology', 'results.write']]],
    ['auditor', 'Reads the audit log and asks who can do what', [['site', 'audit.read'], ['site', 'access.explain'], ['site', 'users.read'], ['site', 'roles.read']]],
  ];
  for (const [name, description, permissions] of roles) {
    await s.api('POST', '/api/v1/roles', { name, description });
    for (const [group, action] of permissions) await s.api('POST', '/api/v1/permissions', { role: name, group, action });
  }
  const given: [number, string][] = [[0, 'operator'], [0, 'oncology'], [1, 'oncology'], [2, 'auditor'], [4, 'oncology']];
  for (const [person, role] of given) await s.api('PUT', `/api/v1/users/${ids[person] ?? ''}/roles/${role}`);
  await s.api('PATCH', `/api/v1/users/${ids[3] ?? ''}`, { disabled: true });
  await s.api('POST', '/api/v1/tokens', {
    name: 'analysis-7',
    claims: { client_id: 'analysis-7', project_id: 'oncology' },
    ttl: '720h',
  });
  await s.api('POST', '/api/v1/tokens', { name: 'nightly-report', roles: ['oncology'], ttl: '2160h' });

  const patrol = (...places: string[]) => dispatch(s, 'patrol', { places, rounds: 3 });
  await patrol('lab_bench', 'goods_out');
  await patrol('ward_desk', 'pantry');
  const task = await patrol('supply', 'reception');
  await s.api('POST', '/fleet/scheduled_tasks', {
    task_request: { category: 'clean', description: { zone: 'lobby_floor' }, requester: 'Mara Lindqvist' },
    schedules: ['monday', 'wednesday', 'friday'].map((period) => ({ period, at: '06:30' })),
  });
  await s.api('POST', '/fleet/alerts/request', {
    id: 'shelf', unix_millis_alert_time: Date.now(), title: 'Shelf is empty', subtitle: 'supply_shelf', message: 'No gloves are left on supply_shelf.',
    display: true, tier: 'warning', responses_available: ['Filled up', 'Later'], alert_parameters: [], task_id: null,
  });
  await s.api('POST', '/fleet/alerts/request', {
    id: 'wet', unix_millis_alert_time: Date.now(), title: 'Floor is wet', subtitle: 'L1', message: 'Something was spilled near reception.',
    display: true, tier: 'error', responses_available: ['Wiped up', 'Close the way'], alert_parameters: [], task_id: null,
  });
  await s.api('POST', '/fleet/alerts/request/wet/respond?response=Wiped%20up');

  const made = await furnishWorkflows(s);

  const files = (await s.api('GET', '/results/files')) as { items: { id: string; filename: string }[] };
  const file = (name: string) => encodeURIComponent(files.items.find((f) => f.filename === name)?.id ?? '');
  return [
    { name: 'home', path: '/' },
    { name: 'workflows-runs', path: '/workflows/runs', ready: row('Growth curve') },
    { name: 'workflows-run', path: `/workflows/runs/${made.run}`, ready: (page: Page) => page.getByAltText('Preview of plot.png').waitFor() },
    { name: 'workflows-run-step', path: `/workflows/runs/${made.run}?step=${made.step}`, ready: (page: Page) => page.getByRole('region', { name: 'Log', exact: true }).waitFor() },
    { name: 'workflows-run-failed', path: `/workflows/runs/${made.failed}`, ready: (page: Page) => page.getByText('Why it did not succeed').waitFor() },
    { name: 'workflows-start', path: `/workflows/library/run/${made.workflow}`, ready: (page: Page) => page.getByText('It can run.').waitFor() },
    { name: 'workflows-library', path: '/workflows/library', ready: row('Growth curve') },
    { name: 'workflows-components', path: '/workflows/library?what=component', ready: row('fit') },
    { name: 'workflows-item', path: `/workflows/library/component/${made.component}`, ready: visible('Differences') },
    { name: 'workflows-editor', path: `/workflows/library/edit/workflow/${made.workflow}`, ready: node('fit') },
    {
      name: 'workflows-editor-findings',
      path: `/workflows/library/edit/workflow/${made.broken}`,
      ready: async (page: Page) => {
        await page.getByTestId('finding-mark').first().waitFor();
        await page.getByRole('radiogroup', { name: 'Beside the canvas' }).getByText(/^Findings/).click();
      },
    },
    {
      name: 'workflows-editor-form',
      path: `/workflows/library/edit/workflow/${made.workflow}`,
      ready: async (page: Page) => {
        await page.getByRole('group', { name: /^Node fit/ }).focus();
        await page.keyboard.press('Enter');
        await page.getByText('What feeds it').waitFor();
      },
    },
    { name: 'workflows-editor-brick', path: `/workflows/library/edit/component/${made.component}`, ready: (page: Page) => page.getByText(/^Runs in /).waitFor() },
    { name: 'workflows-workspaces', path: '/workflows/workspaces', ready: row('imaging') },
    { name: 'workflows-members', path: '/workflows/workspaces/imaging', ready: row('mara.lindqvist') },
    { name: 'workflows-secrets', path: '/workflows/workspaces/imaging?tab=secrets', ready: row('PACS_TOKEN') },
    { name: 'fleet-map', path: '/fleet/map?level=L1', ready: robots },
    { name: 'fleet-map-robot', path: '/fleet/map?level=L1&select=robot:carriers%2Fcarrier_1', ready: robots },
    { name: 'fleet-robots', path: '/fleet/robots', ready: row('carrier_1') },
    { name: 'fleet-robot', path: '/fleet/robots?robot=carriers%2Fcarrier_1', ready: dialog },
    { name: 'fleet-tasks', path: '/fleet/tasks', ready: row('supply') },
    { name: 'fleet-new-task', path: '/fleet/tasks?do=task', ready: dialog },
    { name: 'fleet-task', path: `/fleet/tasks/${encodeURIComponent(task)}` },
    { name: 'fleet-doors', path: '/fleet/doors', ready: (page: Page) => page.getByText('closed').first().waitFor() },
    { name: 'fleet-schedules', path: '/fleet/schedules', ready: row('lobby_floor') },
    { name: 'fleet-new-schedule', path: '/fleet/schedules?do=new', ready: dialog },
    { name: 'fleet-alerts', path: '/fleet/alerts' },
    { name: 'fleet-alerts-answered', path: '/fleet/alerts?show=answered', ready: row('Floor is wet') },
    { name: 'fleet-logs', path: '/fleet/logs?q=supply', ready: row('supply') },
    { name: 'files', path: '/results/files' },
    { name: 'file-csv', path: `/results/files?file=${file('cohort.csv')}`, ready: visible('Preview as a table') },
    { name: 'file-png', path: `/results/files?file=${file('roc-curve.png')}`, ready: visible('Preview of roc-curve.png') },
    { name: 'upload', path: '/results/files?do=upload', ready: dialog },
    { name: 'uploads', path: '/results/uploads' },
    { name: 'people', path: '/access/people' },
    { name: 'person', path: `/access/people/${ids[0] ?? ''}` },
    { name: 'roles', path: '/access/roles' },
    { name: 'permissions', path: '/access/permissions' },
    { name: 'tokens', path: '/access/tokens?whose=all' },
    { name: 'sessions', path: '/access/sessions' },
    { name: 'who-can', path: '/access/who-can?action=results.read&group=oncology' },
    { name: 'audit-log', path: '/activity' },
    { name: 'health', path: '/site/health' },
    { name: 'settings', path: '/site/settings?q=results' },
    {
      name: 'palette',
      path: '/',
      ready: async (page: Page) => {
        await page.keyboard.press('Control+k');
        await dialog(page);
      },
    },
  ];
}

function node(id: string) {
  return (page: Page) => page.getByTestId(`node-${id}`).waitFor();
}

/** Components, a workflow that ran well and one that did not, and a workspace with people. */
async function furnishWorkflows(s: Site) {
  const base = '/workflows/api/v1';
  const create = async (kind: string, doc: object) => ((await s.api('POST', `${base}/${kind}s/`, { [kind]: { type: kind, ...doc } })) as { uid: string }).uid;
  const brick = (name: string, description: string, inputs: object[], outputs: string[][], command: string, image = 'python:3.12-slim') => ({
    type: 'component', name, description, inputs, outputs: outputs.map(([n, type]) => ({ name: n, type })),
    implementation: {
      type: 'brick', container: { name: 'main', image, command: ['sh', '-c', command] },
      args: inputs.map((i) => ({ source: { port: (i as { name: string }).name }, target: { type: (i as { type: string }).type === 'parameter_array' ? 'parameter' : (i as { type: string }).type } })),
      results: outputs.map(([n]) => ({ source: { file: `/tmp/${n === 'plot' ? 'plot.png' : n === 'table' ? 'table.csv' : (n ?? '')}` }, target: { port: n } })),
    },
  });
  const load = await create('component', brick('load table', 'Reads the measurements of a site', [{ name: 'site', type: 'parameter' }], [['table', 'artifact']],
    'echo "reading $0"; printf "day,cells\\n1,120\\n2,260\\n3,540\\n4,1010\\n" > /tmp/table.csv; echo "4 rows"'));
  const fitted = brick('fit', 'Fits a curve to a table', [{ name: 'table', type: 'artifact' }, { name: 'degree', type: 'parameter', mediatype: ['integer'], userdata: { value: '2', description: 'Degree of the polynomial' } }], [['curve', 'parameter'], ['error', 'parameter']],
    'for i in $(seq 1 40); do echo "iteration $i: residual 0.$((400 - i * 9))"; done; printf "1.9*x^2 + 30*x + 88" > /tmp/curve; printf 0.041 > /tmp/error');
  const fit = await create('component', { ...fitted, description: 'Fits a line to a table', implementation: { ...fitted.implementation, container: { ...fitted.implementation.container, image: 'python:3.11-slim' } } });
  await s.api('PUT', `${base}/components/${fit}`, { component: { ...fitted, uid: fit, version: { current: 1, tags: ['reviewed'] } } });
  const plot = await create('component', brick('plot', 'Draws a curve', [{ name: 'curve', type: 'parameter' }], [['plot', 'artifact']], `echo "plotting $0"; printf %s '${curve().toString('base64')}' | base64 -d > /tmp/plot.png`));
  const judge = await create('component', brick('judge', 'Says whether a fit is good enough', [{ name: 'error', type: 'parameter' }], [['verdict', 'parameter']], 'printf "good, at $0" > /tmp/verdict'));
  const nodes = (more: object[]) => [{ id: 'load', node: { uid: load, version: 1 } }, { id: 'fit', node: { uid: fit, version: 2 } }, { id: 'plot', node: { uid: plot, version: 1 } }, { id: 'judge', node: { uid: judge, version: 1 } }, ...more];
  const edge = (from: string, to: string) => {
    const port = (text: string) => {
      const [first = '', second] = text.split('.');
      return second === undefined ? { port: first } : { node: first, port: second };
    };
    return { source: port(from), target: port(to) };
  };
  const component = {
    type: 'component', uid: '5f0f4c7e-8a4e-4b9c-9b64-3a1f0c6d2e30', name: 'growth',
    inputs: [{ name: 'site', type: 'parameter', userdata: { value: 'north', description: 'Whose measurements' } }, { name: 'degree', type: 'parameter', mediatype: ['integer'], userdata: { value: '2', description: 'Degree of the polynomial' } }],
    outputs: [{ name: 'plot', type: 'artifact' }, { name: 'verdict', type: 'parameter' }],
    implementation: {
      type: 'graph', nodes: nodes([]), edges: [edge('load.table', 'fit.table'), edge('fit.curve', 'plot.curve'), edge('fit.error', 'judge.error')],
      inputMappings: [edge('site', 'load.site'), edge('degree', 'fit.degree')], outputMappings: [edge('plot.plot', 'plot'), edge('judge.verdict', 'verdict')],
    },
  };
  const growth = { type: 'workflow', name: 'Growth curve', description: 'Fits a curve to a site’s cell counts and plots it', workspace: 'sandbox', component };
  const workflow = await create('workflow', growth);
  const broken = await create('workflow', {
    name: 'Growth of every site', description: 'Being built', workspace: 'sandbox',
    component: { ...component, uid: '5f0f4c7e-8a4e-4b9c-9b64-3a1f0c6d2e31', implementation: { ...component.implementation, nodes: nodes([{ id: 'report', node: { uid: judge, version: 7 } }]), edges: [edge('load.table', 'plot.curve')] } },
  });
  await s.api('POST', `${base}/workspaces/`, { name: 'imaging', description: 'The imaging group’s pipelines', roles: [['mara.lindqvist@example.org--$owner'], ['jon.okafor@example.org--$collaborator'], ['oncology']] });
  for (const key of ['PACS_TOKEN', 'REGISTRY_PASSWORD']) await s.api('PUT', `${base}/secrets/imaging/${key}`, { key, value: 'not-a-real-secret' });
  await s.api('POST', `${base}/volumes/imaging/`, { workspace: 'imaging', volume: { name: 'scans', persistentVolumeClaim: { claimName: 'team-scans' } } });

  const run = async (doc: object, inputValues: object[], description: string) => {
    await s.api('POST', `${base}/jobs/`, { job: { type: 'job', workflow: doc, inputValues, description } });
    const list = (await s.api('GET', `${base}/jobs/?limit=1`)) as { items: { uid: string }[] };
    const uid = list.items[0]?.uid ?? '';
    for (let tries = 0; tries < 150; tries++) {
      const { status } = (await s.api('GET', `${base}/jobs/${uid}/status`)) as { status: string };
      if (['Succeeded', 'Failed', 'Error'].includes(status)) return uid;
      await new Promise((next) => setTimeout(next, 200));
    }
    throw new Error(`the run ${uid} does not end`);
  };
  const stored = (await s.api('GET', `${base}/workflows/${workflow}`)) as object;
  const given = (site: string) => [{ target: 'site', value: site }, { target: 'degree', value: '2' }];
  const failing = { type: 'workflow', name: 'Nightly import', workspace: 'sandbox', component: { ...brick('import', '', [], [], 'echo "connecting to pacs.example.org"; echo "connection refused" >&2; exit 3'), uid: '5f0f4c7e-8a4e-4b9c-9b64-3a1f0c6d2e32' } };
  const failed = await run(failing, [], 'Every night at two');
  await run(stored, given('south'), 'The southern site');
  const done = await run(stored, given('north'), 'The northern site, after the new lamp');
  const object = (await s.api('GET', `${base}/workflows/sandbox/${done}`)) as { status: { nodes: Record<string, { id: string; displayName: string }> } };
  return { workflow, broken, component: fit, run: done, failed, step: Object.values(object.status.nodes).find((n) => n.displayName === 'fit')?.id ?? '' };
}

/** A catalogue as a laboratory has one, with apps that run, that start, that have ended and that have failed. */
async function furnishApps(s: Site) {
  const { page } = await open(browser);
  await signIn(page, s.url, 'admin', s.password);
  await page.context().close();
  const id = async (q: string) => ((await s.api('GET', `/api/v1/users?q=${q}`)) as { items: { id: string }[] }).items[0]?.id ?? '';
  const [me, mara, jon] = [await id('admin'), await id('mara'), await id('jon')];
  const put = (app: string, script: string, more: object) =>
    s.api('PUT', `/api/v1/apps/${app}`, { id: app, driver: 'process', command: ['/bin/sh', '-c', script], allow: { roles: ['app-user', 'oncology'] }, ...more });
  const sample = `exec ${binary} sample-app demo`;
  await put('notebooks', `echo kernels are warm; ${sample}`, {
    name: 'Notebooks', icon: 'notebook', description: 'Python and R notebooks with the site’s libraries, in storage of your own.', named: 3, max_lifetime: '12h',
    volumes: [{ name: 'home', path: '/home/user' }],
    options: [
      { id: 'size', label: 'Size', default: 'small', choices: { small: { memory: '2Gi', cpu: 1 }, large: { memory: '8Gi', cpu: 4 } } },
      { id: 'project', label: 'Project', type: 'text' },
    ],
    resources: { cpu: 2, memory: '4Gi' },
  });
  await put('slides', sample, { name: 'Slide viewer', icon: 'microscope', description: 'Looks at whole-slide images without copying them.', resources: { cpu: 4, memory: '8Gi' }, idle_timeout: '30m' });
  await put('segment', 'echo loading model; echo weights.bin: no such file; exit 3', { name: 'Segmentation', icon: 'brain', description: 'Outlines organs and lesions with the site’s model.' });
  await put('cohorts', `sleep 600; ${sample}`, { name: 'Cohort builder', icon: 'database', description: 'Asks the registry and keeps what you found.', allow: { roles: ['oncology'], users: ['Mara Lindqvist'] }, ready: { timeout: '15m' }, start_timeout: '20m' });
  await s.api('PUT', '/api/v1/apps/imaging', {
    id: 'imaging', name: 'Imaging desk', icon: 'image', description: 'Opens DICOM series beside their reports.', image: 'registry.example.org/lab/imaging:2026.3', port: 3000,
    env: { THEME: 'quiet' }, allow: { roles: ['oncology'] }, resources: { cpu: 2, memory: '6Gi' }, max_lifetime: '10h', volumes: [{ name: 'work', path: '/home/user', size: '20Gi' }],
    options: [{ id: 'viewer', label: 'Viewer', default: 'flat', choices: { flat: {}, volume: { memory: '16Gi', gpu: 1 } } }],
  });
  const launch = async (app: string, who: string, body: object = {}) => ((await s.api('POST', `/api/v1/apps/${app}/sessions`, { for: who, ...body })) as { id: string }).id;
  const notebooks = await launch('notebooks', me, { options: { size: 'small', project: 'oncology' } });
  const failed = await launch('segment', me);
  const starting = await launch('cohorts', me);
  await launch('notebooks', mara, { options: { size: 'large' } });
  await launch('slides', mara);
  const ended = await launch('slides', jon);
  await launch('demo', jon);
  const until = async (one: string, state: string) => {
    for (;;) {
      if (((await s.api('GET', `/api/v1/app-sessions/${one}`)) as { state: string }).state === state) return;
      await new Promise((next) => setTimeout(next, 200));
    }
  };
  await Promise.all([until(notebooks, 'ready'), until(ended, 'ready'), until(failed, 'failed')]);
  await s.api('DELETE', `/api/v1/app-sessions/${ended}`);
  const measured = (page: Page) => page.getByText(/^0\.\d\d of /).first().waitFor();
  return [
    { name: 'apps-catalogue', path: '/apps/catalogue' },
    { name: 'apps-launch', path: '/apps/catalogue?launch=notebooks', ready: dialog },
    { name: 'apps-mine', path: '/apps/mine', ready: measured },
    { name: 'apps-starting', path: `/apps/mine/${starting}`, ready: (page: Page) => page.locator('[aria-current=step]').waitFor() },
    { name: 'apps-running', path: `/apps/mine/${notebooks}`, ready: measured },
    { name: 'apps-failed', path: `/apps/mine/${failed}`, ready: (page: Page) => page.getByRole('alert').waitFor() },
    { name: 'apps-sessions', path: '/apps/sessions', ready: row('Mara') },
    { name: 'apps-editor', path: '/apps/catalogue/edit/imaging', ready: (page: Page) => page.getByText('Nothing is wrong with it.').waitFor() },
    { name: 'apps-drivers', path: '/apps/drivers' },
    { name: 'apps-page-starting', path: '/open/cohorts', ready: (page: Page) => page.locator('[aria-current=step]').waitFor() },
    { name: 'apps-page-failed', path: '/open/segment', ready: (page: Page) => page.getByRole('heading', { name: 'Segmentation has failed' }).waitFor() },
    { name: 'apps-page-stopped', path: '/open/slides', ready: (page: Page) => page.getByRole('button', { name: 'Start' }).waitFor() },
    { name: 'apps-page-app', path: '/open/notebooks', ready: (page: Page) => page.getByLabel('Say something').waitFor() },
  ];
}

async function dispatch(s: Site, category: string, description: unknown): Promise<string> {
  const request = { category, description, requester: 'Mara Lindqvist', unix_millis_earliest_start_time: 0 };
  const answer = await s.api('POST', '/fleet/tasks/dispatch_task', { type: 'dispatch_task_request', request });
  return (answer as { state: { booking: { id: string } } }).state.booking.id;
}

async function robots(page: Page) {
  await page.getByRole('application', { name: /with [1-9]\d* robots/ }).and(page.locator('[data-pictures="1"]')).waitFor();
  // Doors and lifts tell their states right after.
  await page.waitForTimeout(1000);
}

function row(text: string) {
  return (page: Page) => page.getByRole('row').filter({ hasText: text }).first().waitFor();
}

function visible(label: string) {
  return (page: Page) => page.getByLabel(label).or(page.getByAltText(label)).waitFor();
}

function dialog(page: Page) {
  return page.getByRole('dialog').waitFor();
}

function cohort(): string {
  const rows = Array.from({ length: 60 }, (_, i) => `P${1000 + i},${i % 2 ? 'control' : 'treated'},${34 + ((i * 7) % 41)},${(((i * 37) % 100) / 10).toFixed(1)},${i % 5 ? 'no' : 'yes'}`);
  return `patient,arm,age,score,relapse\n${rows.join('\n')}\n`;
}

function log(): string {
  return Array.from({ length: 40 }, (_, i) => `2026-11-20T08:${String(i).padStart(2, '0')}:00Z epoch ${i + 1} loss ${(1 / (i + 1.2)).toFixed(4)}`).join('\n');
}

/** Bytes that no compression shrinks, the same every time. */
function noise(length: number): Buffer {
  const out = Buffer.alloc(length);
  let x = 123456789;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x & 255;
  }
  return out;
}

/** A receiver operating characteristic as a PNG, drawn by hand. */
function curve(): Buffer {
  const [width, height] = [480, 360];
  const raw = Buffer.alloc((width * 3 + 1) * height, 250);
  for (let y = 0; y < height; y++) {
    raw[y * (width * 3 + 1)] = 0;
    for (let x = 0; x < width; x++) {
      const up = height - y;
      const value = Math.pow(x / width, 0.35) * height;
      const colour = Math.abs(up - value) < 2.5 ? [31, 111, 92] : Math.abs(up - (x / width) * height) < 1 ? [180, 188, 185] : undefined;
      if (colour) raw.set(colour, y * (width * 3 + 1) + 1 + x * 3);
    }
  }
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(raw)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
