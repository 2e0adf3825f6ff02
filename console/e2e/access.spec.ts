import { describe, expect, it } from 'vitest';
import { barriers, fillLogin, open, signIn } from './browser';
import { useConsole } from './console';

const { site, browser, page, goto, row } = useConsole();

describe('access', () => {
  it('creates a role, gives it a permission and a person, whose rights change', async () => {
    const person = (await site().api('POST', '/api/v1/users', {
      issuer: 'https://login.example.org',
      subject: 'mara',
      name: 'Mara Lindqvist',
      email: 'mara@example.org',
    })) as { id: string };
    await goto(`/access/people/${person.id}`);
    await page().getByText('No rights').waitFor();

    await goto('/access/roles?do=create');
    const dialog = page().getByRole('dialog', { name: 'Create a role' });
    await dialog.getByLabel('Name').fill('operator');
    await dialog.getByLabel('Description').fill('Runs the site day to day');
    expect(await barriers(page())).toEqual([]);
    await dialog.getByRole('button', { name: 'Create' }).click();

    await page().locator('#page-title', { hasText: 'Permissions' }).waitFor();
    const cell = page().getByRole('checkbox', { name: 'operator may audit.read on site' });
    await cell.check();
    await page().getByText('in effect').waitFor();
    expect(await barriers(page())).toEqual([]);

    await goto('/access/people?q=Mara');
    await page().getByRole('link', { name: 'Mara Lindqvist' }).click();
    await page().getByLabel('Give a role').selectOption('operator');
    await page().getByRole('button', { name: 'Give', exact: true }).click();
    await row('audit.read').getByText('role operator on site').waitFor();
    expect(await barriers(page())).toEqual([]);

    await goto('/access/who-can?action=audit.read&group=site');
    await row('Mara Lindqvist').getByText('role operator on site').waitFor();
    expect(await barriers(page())).toEqual([]);

    await goto(`/access/who-can?user=${person.id}&action=roles.write&group=site`);
    await page().getByText('No, they cannot').waitFor();
  });

  it('shows a token once and revokes it', async () => {
    await goto('/access/tokens?do=create');
    const dialog = page().getByRole('dialog');
    await dialog.getByLabel('Name').fill('nightly-report');
    await dialog.getByLabel('Claims').fill('client_id=analysis-7\nproject_id=oncology');
    await dialog.getByRole('button', { name: 'Create', exact: true }).click();
    const token = await dialog.getByTestId('token').innerText();
    const me = await fetch(`${site().url}/api/v1/me`, { headers: { Authorization: `Bearer ${token}` } });
    expect(me.status).toBe(200);
    await dialog.getByRole('button', { name: 'I have it' }).click();
    await goto('/access/tokens');
    expect(await page().content()).not.toContain(token);
    await page().getByRole('button', { name: 'Revoke nightly-report' }).click();
    const confirm = page().getByRole('dialog', { name: 'Revoke nightly-report' });
    await confirm.getByLabel(/to confirm/).fill('nightly-report');
    await confirm.getByRole('button', { name: 'Revoke', exact: true }).click();
    await row('nightly-report').getByText('revoked').waitFor();
    const after = await fetch(`${site().url}/api/v1/me`, { headers: { Authorization: `Bearer ${token}` } });
    expect(after.status).toBe(401);
    expect(await barriers(page())).toEqual([]);
  });

  it('ends the session of another browser, which keeps what was typed there', async () => {
    const other = await open(browser());
    await signIn(other.page, site().url, 'admin', site().password, '/ui/access/roles?do=create');
    const dialog = other.page.getByRole('dialog', { name: 'Create a role' });
    await dialog.getByLabel('Name').fill('auditor');

    await goto('/access/sessions');
    expect(await barriers(page())).toEqual([]);
    const theirs = page().getByRole('row').filter({ hasNotText: 'this browser' }).filter({ hasText: 'End session' });
    await theirs.getByRole('button').first().click();
    await page().getByText('The session is ended.').waitFor();

    await dialog.getByRole('button', { name: 'Create' }).click();
    const again = other.page.getByRole('dialog', { name: 'Your session has ended' });
    const popup = other.page.waitForEvent('popup');
    await again.getByRole('button', { name: 'Sign in again' }).click();
    const small = await popup;
    const closed = small.waitForEvent('close');
    await fillLogin(small, 'admin', site().password);
    await closed;
    await again.waitFor({ state: 'detached' });
    expect(await dialog.getByLabel('Name').inputValue()).toBe('auditor');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await other.page.locator('#page-title', { hasText: 'Permissions' }).waitFor();
    expect(other.complaints).toEqual([]);
    await other.page.context().close();
  });
});
