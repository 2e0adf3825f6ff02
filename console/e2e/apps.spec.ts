import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { barriers, open, signIn, type Watched } from './browser';
import { useConsole } from './console';
import { binary } from './site';

const { site, browser, page, goto, row } = useConsole();

/** Somebody who may use the sample apps and nothing else. */
async function person(login: string): Promise<Watched> {
  site().lodge('user', 'add', login, '--password', 'a long enough password');
  const watched = await open(browser());
  await signIn(watched.page, site().url, login, 'a long enough password');
  const users = (await site().api('GET', `/api/v1/users?q=${login}`)) as { items: { id: string }[] };
  await site().api('PUT', `/api/v1/users/${users.items[0]?.id ?? ''}/roles/app-user`);
  return watched;
}

function entry(id: string, script: string, more: object = {}) {
  return site().api('PUT', `/api/v1/apps/${id}`, {
    id,
    driver: 'process',
    command: ['/bin/sh', '-c', script],
    allow: { roles: ['app-user'] },
    ...more,
  });
}

const card = (on: Page, id: string) => on.getByTestId(`app-${id}`);

let ben: Watched;

beforeAll(async () => {
  await entry('slow', `echo warming up; sleep 4; exec ${binary} sample-app demo`, { name: 'Slow notes' });
  await entry('crash', 'echo reading the model; echo no such file: weights.bin; exit 3', { name: 'Crasher' });
  await entry('sizes', `exec ${binary} sample-app echo`, {
    name: 'Sizes',
    named: 2,
    options: [
      { id: 'size', label: 'Size', default: 'small', choices: { small: { memory: '1Gi' }, large: { memory: '2Gi', cpu: 2 } } },
      { id: 'branch', label: 'Branch', type: 'text', pattern: '[a-z]+' },
    ],
  });
  ben = await person('ben');
});

describe('apps', () => {
  it('start from the catalogue, show their steps and turn into the app by themselves', async () => {
    await goto('/apps/catalogue');
    expect(await barriers(page())).toEqual([]);
    await card(page(), 'slow').getByText('app-user and administrators').waitFor();
    await card(page(), 'slow').getByRole('button', { name: 'Start Slow notes' }).click();
    await page().waitForURL(/\/apps\/mine\//);
    await page().getByRole('list', { name: 'Steps of the start' }).waitFor();
    await page().locator('[aria-current=step]', { hasText: 'It answers' }).waitFor();
    await page().getByText('warming up').waitFor();
    expect(await barriers(page())).toEqual([]);

    await page().waitForURL(/^http:\/\/slow--admin\.apps\.localhost/);
    await page().getByLabel('Say something').fill('hello from a person');
    await page().keyboard.press('Enter');
    await page().getByText('HELLO FROM A PERSON').waitFor();

    // Going back stays there: it does not lead away again.
    await page().goBack();
    await page().getByRole('link', { name: 'Open Slow notes in a new tab' }).waitFor();
    expect(new URL(page().url()).searchParams.has('open')).toBe(false);
    await page().getByLabel(/^Memory: .* of 2\.0 GiB/).waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('give a second person another instance, and keep the first one’s shut', async () => {
    const { page: his } = ben;
    await his.goto(`${site().url}/ui/apps/catalogue`);
    expect(await his.getByRole('link', { name: 'Drivers' }).count()).toBe(0);
    await card(his, 'slow').getByRole('button', { name: 'Start Slow notes' }).click();
    await his.waitForURL(/^http:\/\/slow--ben\.apps\.localhost/);
    await his.getByLabel('Say something').waitFor();
    const theirs = new URL(his.url());
    theirs.hostname = theirs.hostname.replace('ben', 'admin');
    await his.goto(theirs.href);
    await his.getByRole('heading', { name: 'There is no such app' }).waitFor();
    expect(await barriers(his)).toEqual([]);
    expect(ben.complaints).toEqual([]);
  });

  it('can be extended and stopped', async () => {
    await goto('/apps/mine');
    const slow = row('Slow notes');
    await slow.getByText(/closes in (1 h|59 min) if unused/).waitFor();
    await slow.getByText(/^0\.\d\d of 1$/).waitFor();
    expect(await barriers(page())).toEqual([]);
    await slow.getByRole('button', { name: 'Extend Slow notes' }).click();
    await slow.getByText(/closes in (2 h|1 h 59 min), extended/).waitFor();
    await slow.getByRole('button', { name: 'Stop Slow notes' }).click();
    await page().getByRole('dialog', { name: 'Stop Slow notes' }).getByRole('button', { name: 'Stop it' }).click();
    await slow.getByText('stopped', { exact: true }).waitFor();
    await slow.getByRole('button', { name: 'Start again: Slow notes' }).waitFor();
  });

  it('are stopped by an administrator, and their owner is told', async () => {
    await goto('/apps/sessions?state=ready');
    const his = row('ben');
    await his.getByText('Slow notes').waitFor();
    await his.getByRole('button', { name: 'Only ben' }).click();
    expect(new URL(page().url()).searchParams.get('user')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await barriers(page())).toEqual([]);
    await his.getByRole('button', { name: 'Stop Slow notes' }).click();
    await page().getByRole('dialog', { name: 'Stop Slow notes of ben' }).getByRole('button', { name: 'Stop it' }).click();
    await page().getByText('No app session is like that').waitFor();
    await ben.page.goto(`${site().url}/ui/apps/mine`);
    await ben.page.getByText('An administrator stopped it.').waitFor();
    // The app's own address says so too, and offers a start.
    await ben.page.goto(`${site().url}/open/slow`);
    await ben.page.getByRole('heading', { name: 'Slow notes is not running' }).waitFor();
    await ben.page.getByText('An administrator stopped it.').waitFor();
    expect(await barriers(ben.page)).toEqual([]);
    await ben.page.getByRole('button', { name: 'Start' }).click();
    await ben.page.getByRole('heading', { name: 'Starting Slow notes' }).waitFor();
    await ben.page.locator('[aria-current=step]').waitFor();
    expect(await barriers(ben.page)).toEqual([]);
    await ben.page.getByLabel('Say something').waitFor();
    expect(ben.complaints).toEqual([]);
  });

  it('that crash show their last lines, on the page and at their own address', async () => {
    await goto('/apps/catalogue');
    await card(page(), 'crash').getByRole('button', { name: 'Start Crasher' }).click();
    const alert = page().getByRole('alert');
    await alert.getByText('no such file: weights.bin').waitFor();
    await alert.getByText('exit code 3').waitFor();
    await page().locator('[data-state=failed]').waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().goto(`${site().url}/open/crash`);
    await page().getByRole('heading', { name: 'Crasher has failed' }).waitFor();
    await page().getByText('no such file: weights.bin').waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().getByRole('button', { name: 'Try again' }).click();
    await page().getByRole('heading', { name: 'Crasher has failed' }).waitFor();
    await page().getByRole('link', { name: 'All apps' }).click();
    await page().waitForURL(/\/ui\/apps/);
  });

  it('are asked for by a form where there is something to choose', async () => {
    await goto('/apps/catalogue');
    // By keyboard alone.
    await card(page(), 'sizes').getByRole('button', { name: 'Start Sizes' }).focus();
    await page().keyboard.press('Enter');
    const form = page().getByRole('dialog', { name: 'Start Sizes' });
    await form.waitFor();
    expect(page().url()).toContain('launch=sizes');
    await form.getByLabel('Size').selectOption('large');
    await form.getByLabel('Branch').fill('UPPER');
    await form.getByLabel('Name').fill('second');
    await page().keyboard.press('Enter');
    await form.getByText('It must fit [a-z]+.').waitFor();
    expect(await barriers(page())).toEqual([]);
    await form.getByLabel('Branch').fill('main');
    await page().keyboard.press('Enter');
    await page().waitForURL(/^http:\/\/sizes--admin--second\.apps\.localhost/);
    await page().goBack();
    await page().getByRole('heading', { name: 'Sizes · second' }).waitFor();
    await page().getByText('2 cores, 2 GiB memory').waitFor();
    await page().getByRole('definition').filter({ hasText: 'main' }).waitFor();
  });

  it('are put into the catalogue in fields and as text, with findings beside the field', async () => {
    await goto('/apps/catalogue/new');
    const text = page().getByLabel('Entry as text');
    await page().getByRole('list', { name: 'Findings' }).getByText('An app needs an id').waitFor();
    await page().getByLabel('Id').fill('plots');
    await page().getByLabel('Name', { exact: true }).first().fill('Plot studio');
    await expect.poll(() => text.inputValue()).toContain('name: Plot studio');
    await page().getByLabel('Memory').fill('lots');
    const memory = page().getByLabel('Memory');
    await expect.poll(() => memory.getAttribute('aria-invalid')).toBe('true');
    expect(await barriers(page())).toEqual([]);
    await text.fill(`id: plots\nname: Plot studio # kept\ncommand: [${binary}, sample-app, demo]\ndriver: process\nport: many\nallow: {roles: [app-user]}\n`);
    await page().getByRole('list', { name: 'Findings' }).getByText('is no number').waitFor();
    await page().getByRole('button', { name: 'Line 5' }).click();
    expect(await text.evaluate((e: HTMLTextAreaElement) => e.value.slice(e.selectionStart, e.selectionEnd))).toBe('port: many');
    expect(await page().getByLabel('Port').getAttribute('aria-invalid')).toBe('true');
    await page().getByLabel('Port').fill('8080');
    await page().getByText('Nothing is wrong with it.').waitFor();
    expect(await text.inputValue()).toContain('name: Plot studio # kept');
    await page().getByText('For app-user and administrators').waitFor();
    await page().getByText('JSON', { exact: true }).click();
    await expect.poll(() => text.inputValue()).toContain('"name": "Plot studio"');
    await page().getByRole('button', { name: 'Put into the catalogue' }).click();
    await card(page(), 'plots').getByRole('link', { name: 'Edit Plot studio' }).click();

    await page().getByRole('heading', { name: 'Edit Plot studio' }).waitFor();
    await page().getByLabel('Description').fill('Draws curves.');
    await page().getByRole('button', { name: 'Save' }).click();
    await card(page(), 'plots').getByText('Draws curves.').waitFor();
    await card(page(), 'plots').getByRole('link', { name: 'Edit Plot studio' }).click();
    await page().getByRole('button', { name: /Take out/ }).click();
    await page().getByLabel('Type plots to confirm').fill('plots');
    await page().getByRole('button', { name: 'Take it out' }).click();
    await card(page(), 'slow').waitFor();
    await card(page(), 'plots').waitFor({ state: 'detached' });
  });

  it('changed by somebody else meanwhile are not written over', async () => {
    await goto('/apps/catalogue/edit/sizes');
    await page().getByLabel('Description').fill('Mine.');
    const answer = await fetch(`${site().url}/api/v1/apps/sizes`, { headers: { Authorization: `Bearer ${site().token}` } });
    const { entry: known } = (await answer.json()) as { entry: object };
    await fetch(`${site().url}/api/v1/apps/sizes`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${site().token}`, 'Content-Type': 'application/json', 'If-Match': answer.headers.get('ETag') ?? '' },
      body: JSON.stringify({ ...known, description: 'Theirs.' }),
    });
    await page().getByText('Somebody has changed this entry meanwhile').waitFor();
    expect(await page().getByLabel('Description').inputValue()).toBe('Mine.');
    await page().getByRole('button', { name: 'Take theirs and drop mine' }).click();
    await expect.poll(() => page().getByLabel('Description').inputValue()).toBe('Theirs.');
  });

  it('tell what their drivers truly enforce', async () => {
    await goto('/apps/drivers');
    const limits = page().getByRole('region', { name: 'Limits of process' });
    await limits.getByRole('row').filter({ hasText: 'Memory' }).getByText('in part').waitFor();
    await limits.getByRole('row').filter({ hasText: 'CPU' }).getByText('no', { exact: true }).waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().getByRole('button', { name: 'Compare with what runs' }).click();
    await page().getByText('The app sessions agree with what runs.').waitFor();
  });

  it('are a command away, and on the home page', async () => {
    await goto('/');
    await page().getByRole('region', { name: 'My apps' }).getByText('Sizes · second').waitFor();
    await page().keyboard.press('Control+k');
    await page().getByLabel('Search files, people, pages and actions').fill('workb');
    await page().keyboard.press('ArrowDown');
    await page().keyboard.press('Enter');
    await page().getByRole('dialog', { name: 'Start Workbench' }).waitFor();
  });

  it('have pages of their own that work by keyboard, on a phone, in the dark and for a screen reader', async () => {
    const stop = async () => {
      const { items } = (await site().api('GET', '/api/v1/app-sessions?app=slow&user=*')) as { items: { id: string }[] };
      for (const one of items) await site().api('DELETE', `/api/v1/app-sessions/${one.id}`);
    };
    await stop();
    await page().setViewportSize({ width: 360, height: 780 });
    await page().emulateMedia({ colorScheme: 'dark' });
    const press = async (name: string) => {
      for (let i = 0; i < 10; i++) {
        await page().keyboard.press('Tab');
        if ((await page().evaluate(() => document.activeElement?.textContent)) === name) return page().keyboard.press('Enter');
      }
      throw new Error(`${name} cannot be reached by keyboard`);
    };
    const fits = async () => {
      expect(await barriers(page())).toEqual([]);
      expect(await page().evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);
    };
    await page().goto(`${site().url}/open/slow`);
    await page().getByRole('heading', { name: 'Slow notes is not running' }).waitFor();
    await fits();
    await press('Start');
    await page().getByRole('heading', { name: 'Starting Slow notes' }).waitFor();
    await fits();
    // What is read out changes with the steps.
    const live = page().locator('[role=status][aria-live=polite]');
    expect(await live.textContent()).not.toBe('');
    await press('Cancel');
    await page().getByRole('heading', { name: /Slow notes is (not running|stopping|being stopped)/ }).waitFor();
    await page().getByRole('heading', { name: 'Slow notes is not running' }).waitFor();
    await press('Start');
    await page().getByLabel('Say something').waitFor();

    await page().goto(`${site().url}/open/crash`);
    await page().getByRole('heading', { name: 'Crasher has failed' }).waitFor();
    await page().getByText('Who can help: an administrator of this site.').waitFor();
    await fits();
    await press('All apps');
    await page().waitForURL(/\/ui\/apps/);
    await stop();
    await page().emulateMedia({ colorScheme: 'light' });
    await page().setViewportSize({ width: 1280, height: 860 });
  });

  it('work on a phone and in the dark', async () => {
    await page().setViewportSize({ width: 360, height: 780 });
    await page().emulateMedia({ colorScheme: 'dark' });
    const list = (await site().api('GET', '/api/v1/app-sessions?user=*&state=failed')) as { items: { id: string }[] };
    const pages = ['/apps/catalogue', '/apps/catalogue?launch=sizes', '/apps/mine', '/apps/sessions', `/apps/sessions/${list.items[0]?.id ?? ''}`, '/apps/catalogue/edit/sizes', '/apps/drivers'];
    const narrow = async (what: string) => {
      expect(await barriers(page())).toEqual([]);
      const wide = await page().evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(wide, `${what} is wider than the screen`).toBeLessThanOrEqual(0);
    };
    for (const path of pages) {
      await goto(path);
      await page().waitForLoadState('load');
      await narrow(path);
    }
    for (const app of ['crash', 'slow', 'nothing']) {
      await page().goto(`${site().url}/open/${app}`);
      await narrow(`/open/${app}`);
    }
    await page().emulateMedia({ colorScheme: 'light' });
    await page().setViewportSize({ width: 1280, height: 860 });
  });
});
