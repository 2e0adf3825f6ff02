import { Text } from '@mantine/core';
import { CircleCheck } from 'lucide-react';
import { Empty } from '../ui/empty';
import { Status, type Tone } from '../ui/status';
import { bySeverity, type Located, type Severity } from './finding';
import classes from './editor.module.css';

const looks: Readonly<Record<Severity, { tone: Tone; word: string }>> = {
  error: { tone: 'bad', word: 'wrong' },
  unready: { tone: 'bad', word: 'not ready to run' },
  warning: { tone: 'warn', word: 'look at this' },
};

/** Everything that the dry run found; choosing one goes to where it is. */
export function FindingsTab({ findings, checked, onChoose }: { findings: readonly Located[]; checked: boolean; onChoose: (f: Located) => void }) {
  if (findings.length === 0) {
    return (
      <Empty title={checked ? 'Nothing is wrong' : 'Being checked…'} icon={CircleCheck}>
        {checked ? 'The server would take it as it is.' : 'The server looks at it.'}
      </Empty>
    );
  }
  return (
    <ul className={classes.findings} aria-label="Findings">
      {bySeverity(findings).map((f, i) => (
        <li key={i}>
          <button type="button" className={classes.findingButton} onClick={() => onChoose(f)}>
            <Status tone={looks[f.severity].tone}>{looks[f.severity].word}</Status>
            <Text component="span" size="sm" display="block" mt={4}>
              {f.message}
            </Text>
            {f.trail.length > 0 && (
              <Text component="span" size="xs" c="dimmed" display="block">
                in {f.trail.join(' › ')}
              </Text>
            )}
          </button>
        </li>
      ))}
    </ul>
  );
}
