import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { barriers } from './browser';
import { useConsole } from './console';

const { site, page, goto, row } = useConsole();

describe('activity and site', () => {
  it('filters the audit log in the address, verifies the chain and exports', async () => {
    await site().api('POST', '/api/v1/roles', { name: 'operator', description: '' });
    await goto('/activity?action=roles.write');
    await row('roles.write').first().waitFor();
    await page().getByText('chain verified').waitFor();
    expect(await barriers(page())).toEqual([]);
    await page().getByLabel('Outcome').selectOption('denied');
    await page().getByText('No record matches').waitFor();
    expect(page().url()).toContain('outcome=denied');
    await goto('/activity?action=roles.write');
    await page().getByRole('button', { name: 'Export' }).click();
    const download = page().waitForEvent('download');
    await page().getByRole('menuitem', { name: /CSV/ }).click();
    expect(readFileSync(await (await download).path(), 'utf8')).toContain('roles.write');
  });

  it('tells the health and the settings, without a secret', async () => {
    await goto('/site/health');
    await row('database').getByText('ok').waitFor();
    expect(await barriers(page())).toEqual([]);
    await goto('/site/settings?q=results.hub');
    await row('results.hub.secret').getByText('***').waitFor();
    expect(await page().content()).not.toContain('not-a-real-secret');
    expect(await barriers(page())).toEqual([]);
  });
});
