import { useState } from 'react';
import { Canvas, nothingPicked } from './canvas';
import type { Component } from './document';
import { componentAt } from './graph';
import { useResolve } from './query';
import { Button, Group } from '@mantine/core';

/** A component from inside, to look at. */
export default function Picture({ component, label }: { component: Component; label: string }) {
  const resolve = useResolve(component);
  const [trail, setTrail] = useState<readonly string[]>([]);
  const [picked, setPicked] = useState(nothingPicked);
  const shown = componentAt(component, trail, resolve)?.component ?? component;
  return (
    <>
      {trail.length > 0 && (
        <Group gap="xs" p={6}>
          <Button size="compact-xs" variant="default" onClick={() => setTrail(trail.slice(0, -1))}>
            Back to {trail.at(-2) ?? 'the whole'}
          </Button>
          {trail.join(' › ')}
        </Group>
      )}
      <Canvas key={trail.join('/')} label={label} component={shown} resolve={resolve} trail={trail} picked={picked} onPick={setPicked} onOpen={(slot) => setTrail([...trail, slot])} />
    </>
  );
}
