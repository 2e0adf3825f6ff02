import { describe, expect, it } from 'vitest';
import { barriers, open, signIn } from './browser';
import { useConsole } from './console';

const { site, browser, page, goto, row } = useConsole();

describe('the frame', () => {
  it('finds pages, actions and things by name', async () => {
    await site().put('/results/local?project_id=oncology', { name: 'scores.csv', type: 'text/csv', content: 'a,b\n1,2\n' });
    await goto('/');
    await page().keyboard.press('Control+k');
    const search = page().getByPlaceholder('Search files, people, pages and actions');
    await search.fill('scores');
    await page().getByRole('button', { name: /scores\.csv/ }).waitFor();
    expect(await barriers(page())).toEqual([]);
    await search.fill('who can');
    await page().keyboard.press('Enter');
    await page().locator('#page-title', { hasText: 'Who can' }).waitFor();
  });

  it('shows a change that somebody else makes, without a reload', async () => {
    await goto('/access/roles');
    await page().getByLabel('Connection: Live').waitFor();
    await site().api('POST', '/api/v1/roles', { name: 'from-elsewhere', description: 'made by a program' });
    await row('from-elsewhere').waitFor();
  });

  it('is reached by keyboard alone, in order', async () => {
    await goto('/');
    await page().keyboard.press('Tab');
    expect(await page().evaluate(() => document.activeElement?.textContent)).toBe('Skip to the page');
    await page().keyboard.press('Enter');
    expect(await page().evaluate(() => document.activeElement?.id)).toBe('content');
    await page().getByRole('link', { name: 'People' }).focus();
    await page().keyboard.press('Enter');
    await page().locator('#page-title:focus', { hasText: 'People' }).waitFor();
  });

  it('explains a refusal: what is missing, and who gives it', async () => {
    const guest = await open(browser());
    site().lodge('user', 'add', 'guest', '--password', 'a long enough password');
    await signIn(guest.page, site().url, 'guest', 'a long enough password');
    expect(await guest.page.getByRole('link', { name: 'People' }).count()).toBe(0);
    await guest.page.goto(`${site().url}/ui/access/people`);
    await guest.page.getByText('users.read on site').waitFor();
    await guest.page.getByRole('button', { name: 'Copy a request to send' }).waitFor();
    expect(await barriers(guest.page)).toEqual([]);
    expect(guest.complaints).toEqual([]);
    await guest.page.context().close();
  });

  it('works on a phone and in the dark', async () => {
    await page().setViewportSize({ width: 390, height: 844 });
    await page().emulateMedia({ colorScheme: 'dark' });
    for (const path of ['/', '/results/files', '/results/uploads', '/access/permissions', '/activity', '/site/health']) {
      await goto(path);
      expect(await barriers(page())).toEqual([]);
      const wide = await page().evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(wide, `${path} is wider than the screen`).toBeLessThanOrEqual(0);
    }
    await page().getByRole('button', { name: 'Open the navigation' }).click();
    await page().getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Files' }).click();
    await page().locator('#page-title', { hasText: 'Files' }).waitFor();
    await page().emulateMedia({ colorScheme: 'light' });
    await page().setViewportSize({ width: 1280, height: 860 });
  });
});
