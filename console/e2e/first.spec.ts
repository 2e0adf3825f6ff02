import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { barriers, drop, signIn } from './browser';
import { useConsole } from './console';

// What an operator does first. It is the fast subset: the other files drive every other page().
const { site, page, goto, row } = useConsole({ signedIn: false });

describe('a first visit', () => {
  it('leads from the root to the page, by way of the provider, to where one wanted to go', async () => {
    await page().goto(site().url);
    await page().getByRole('link', { name: 'Sign in' }).waitFor();
    expect(page().url()).toBe(`${site().url}/ui/`);
    expect(await barriers(page())).toEqual([]);

    await signIn(page(), site().url, 'admin', site().password, '/ui/results/files?q=report');
    expect(page().url()).toBe(`${site().url}/ui/results/files?q=report`);
    expect(await page().getByLabel('Search by name').inputValue()).toBe('report');
  });

  it('sends a policy without unsafe-inline, and styles come through it', async () => {
    const response = await page().goto(`${site().url}/ui/`);
    const policy = (await response?.headerValue('content-security-policy')) ?? '';
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe');
    await page().locator('#page-title').waitFor();
    const button = page().getByRole('link', { name: 'Upload a file' }).first();
    expect(await button.evaluate((e) => getComputedStyle(e).backgroundColor)).toBe('rgb(31, 111, 92)');
  });

  it('takes a file by drag, shows it with its checksum and previews it', async () => {
    const content = 'id,name,score\n1,"Ada, Countess",9.5\n2,<script>window.hacked=1</script>,7\n';
    await goto('/results/files');
    await drop(page().getByTestId('drop'), [{ name: 'scores.csv', type: 'text/csv', content }]);
    const dialog = page().getByRole('dialog', { name: 'Upload files' });
    await dialog.getByLabel('Project').fill('oncology');
    await dialog.getByLabel('Tag').fill('Bad Tag');
    await dialog.getByText('Up to 32').waitFor();
    await dialog.getByLabel('Tag').fill('baseline');
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();

    await row('scores.csv').waitFor();
    await row('scores.csv').getByText('baseline').waitFor();
    await page().getByRole('dialog').waitFor({ state: 'detached' });
    expect(await barriers(page())).toEqual([]);

    await row('scores.csv').getByRole('button', { name: 'scores.csv', exact: true }).click();
    const drawer = page().getByRole('dialog', { name: 'scores.csv' });
    await drawer.getByText(createHash('sha256').update(content).digest('hex')).waitFor();
    await drawer.getByRole('cell', { name: 'Ada, Countess' }).waitFor();
    expect(await page().evaluate(() => 'hacked' in window)).toBe(false);
    await drawer.getByRole('button', { name: 'Verify' }).click();
    await drawer.getByText('what arrives is what was stored').waitFor();
    const download = page().waitForEvent('download');
    await drawer.getByRole('link', { name: 'Download' }).click();
    expect(readFileSync(await (await download).path(), 'utf8')).toBe(content);
    expect(await barriers(page())).toEqual([]);
  });

  it('sends a final result to the hub and shows it delivered', async () => {
    await goto('/results/files?do=upload&to=hub');
    const dialog = page().getByRole('dialog', { name: 'Upload files' });
    await dialog.getByLabel('Analysis').fill('6f1c2a52-7d3b-4d62-9b0e-0f6f1b1c0a01');
    await drop(dialog.getByTestId('drop'), [{ name: 'model.bin', type: 'application/octet-stream', content: 'weights' }]);
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    const onTheWay = page().getByRole('region', { name: 'On the way' });
    await onTheWay.getByText('delivered', { exact: true }).waitFor();
    await page().getByRole('link', { name: 'Uploads' }).click();
    await row('model.bin').getByText('delivered', { exact: true }).waitFor();
    expect(await barriers(page())).toEqual([]);
  });

  it('logs out, in every tab', async () => {
    const second = await page().context().newPage();
    await second.goto(`${site().url}/ui/`);
    await second.locator('#page-title').waitFor();
    await goto('/');
    await page().getByRole('button', { name: /^You:/ }).click();
    await page().getByRole('menuitem', { name: 'Log out' }).click();
    await page().getByRole('link', { name: 'Sign in' }).waitFor();
    await second.getByRole('link', { name: 'Sign in' }).waitFor();
    const me = await page().context().request.get(`${site().url}/api/v1/me`);
    expect(me.status()).toBe(401);
  });
});
