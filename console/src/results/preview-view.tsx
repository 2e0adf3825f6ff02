import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { parseCSV } from '../lib/csv';
import { bytes } from '../lib/format';
import { Answer } from '../ui/answer';
import { loadPreview, PREVIEW_BYTES, type Viewable } from './preview';
import classes from './results.module.css';

const ROWS = 200;

/** Shows the beginning of a file as inert text, as a table of text, or as a picture. */
export function PreviewView({ file }: { file: Viewable }) {
  const query = useQuery({
    queryKey: ['preview', file.id],
    queryFn: ({ signal }) => loadPreview(file, signal),
    staleTime: Infinity,
    gcTime: 60_000,
  });
  return (
    <Answer query={query} title="The preview could not be read">
      {(p) => {
        switch (p.kind) {
          case 'none':
            return (
              <Text size="sm" c="dimmed">
                {p.reason}
              </Text>
            );
          case 'png':
            return <Picture blob={p.blob} name={file.filename} />;
          case 'csv':
            return (
              <>
                <Cells text={p.text} whole={p.whole} />
                {!p.whole && <Cut />}
              </>
            );
          case 'text':
            return (
              <>
                {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls */}
                <div className={classes.preview} tabIndex={0} role="region" aria-label="Preview">
                  <pre>{p.text}</pre>
                </div>
                {!p.whole && <Cut />}
              </>
            );
        }
      }}
    </Answer>
  );
}

function Cut() {
  return (
    <Text size="xs" c="dimmed" mt={4}>
      The first {bytes(PREVIEW_BYTES)}. Download the file to see the rest.
    </Text>
  );
}

function Picture({ blob, name }: { blob: Blob; name: string }) {
  const url = useMemo(() => URL.createObjectURL(blob), [blob]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <div className={classes.preview}>
      <img src={url} alt={`Preview of ${name}`} />
    </div>
  );
}

function Cells({ text, whole }: { text: string; whole: boolean }) {
  const rows = useMemo(() => {
    const all = parseCSV(text, ROWS + 1);
    // A cut in the middle of the text cuts its last row as well.
    return whole || all.length > ROWS ? all : all.slice(0, -1);
  }, [text, whole]);
  const [head, ...body] = rows;
  if (head === undefined) return null;
  return (
    <>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls */}
      <div className={classes.preview} tabIndex={0} role="region" aria-label="Preview as a table">
        <table>
          <thead>
            <tr>
              {head.map((cell, i) => (
                <th key={i} scope="col">
                  {cell}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {body.slice(0, ROWS).map((row, i) => (
              <tr key={i}>
                {row.map((cell, j) => (
                  <td key={j}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {body.length >= ROWS && (
        <Text size="xs" c="dimmed" mt={4}>
          The first {ROWS} rows.
        </Text>
      )}
    </>
  );
}
