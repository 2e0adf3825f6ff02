import { describe, expect, it } from 'vitest';
import { commandLine, commandOf, commandText } from './command';
import { brick, data } from './fixture';

describe('a command', () => {
  it.each([
    [['echo', 'a b']],
    [['sh', '-c', 'one\ntwo']],
    [['sh', '-c', 'echo "$0"', 'x']],
    [['/bin/bash', '-c', 'one\n\ntwo\n']],
    [['python', '-c', 'a\nb']],
    [[]],
    [['["x"]']],
    [['a\nb']],
  ])('%j is written and read back the same', (command: string[]) => expect(commandOf(commandText(command))).toEqual(command));
  it('is typed one word a line, and a script after sh -c', () => {
    expect(commandOf('sh\n-c\necho 1\necho 2')).toEqual(['sh', '-c', 'echo 1\necho 2']);
    expect(commandText(['sh', '-c', 'echo 1'])).toBe('sh\n-c\necho 1');
  });
  it('is shown with the names of its inputs, and never with a volume as an argument', () => {
    const c = brick('x', [data('n'), data('disk', 'volume'), data('KEY', 'env_secret')]);
    const it0 = { type: 'brick' as const, container: { name: 'm', command: ['run'] }, args: [{ source: { port: 'n' }, target: { type: 'parameter', prefix: '--n=' } }, { source: { port: 'disk' }, target: { type: 'volume' } }, { source: '-v' }] };
    expect(commandLine(c, it0)).toEqual(['KEY=‹secret›', 'run', '--n=‹n›', '-v']);
  });
});
