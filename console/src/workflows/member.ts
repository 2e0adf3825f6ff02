/** Who belongs to a workspace, as its roles say it: alternatives, each a list of roles that one must have. */
export type Roles = readonly (readonly string[])[];

const OWNER = '--$owner';
const COLLABORATOR = '--$collaborator';

export type Standing = 'owner' | 'collaborator';

export interface Person {
  readonly email: string;
  readonly as: Standing;
}

/** People who are named one by one. Who is named twice is shown with the greater right. */
export function peopleOf(roles: Roles): Person[] {
  const people = new Map<string, Standing>();
  for (const role of roles.flat()) {
    if (role.endsWith(OWNER)) people.set(role.slice(0, -OWNER.length), 'owner');
    else if (role.endsWith(COLLABORATOR)) {
      const email = role.slice(0, -COLLABORATOR.length);
      if (!people.has(email)) people.set(email, 'collaborator');
    }
  }
  return [...people].map(([email, as]) => ({ email, as })).sort((a, b) => a.email.localeCompare(b.email));
}

/** What lets everybody in who has it: the roles of each alternative without named people. */
export function groupsOf(roles: Roles): string[][] {
  return roles.map((all) => all.filter((r) => !r.includes('--$'))).filter((all) => all.length > 0);
}

export function withPerson(roles: Roles, email: string, as: Standing): string[][] {
  return [...withoutPerson(roles, email), [`${email.trim()}${as === 'owner' ? OWNER : COLLABORATOR}`]];
}

export function withoutPerson(roles: Roles, email: string): string[][] {
  return roles.map((all) => all.filter((r) => r !== `${email}${OWNER}` && r !== `${email}${COLLABORATOR}`)).filter((all) => all.length > 0);
}

export function withGroup(roles: Roles, names: string): string[][] {
  const all = rolesIn(names);
  return all.length === 0 ? roles.map((r) => [...r]) : [...roles.map((r) => [...r]), all];
}

export function withoutGroup(roles: Roles, group: readonly string[]): string[][] {
  const key = group.join(' ');
  let done = false;
  return roles
    .map((all) => {
      if (done || all.filter((r) => !r.includes('--$')).join(' ') !== key) return [...all];
      done = true;
      return all.filter((r) => r.includes('--$'));
    })
    .filter((all) => all.length > 0);
}

function rolesIn(names: string): string[] {
  return [...new Set(names.split(/[\s,]+/).filter((n) => n !== ''))];
}

export function emailProblem(email: string): string | undefined {
  return /^[^\s@]+@[^\s@]+$/.test(email.trim()) ? undefined : 'Write an address such as ada@example.org.';
}
