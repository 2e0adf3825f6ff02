import { Text, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { Document } from './document';
import { alike } from './draft';
import { parseDocument } from './parse';
import classes from './editor.module.css';

/** The whole document as text. What can be read of it is at once what the form and the canvas show. */
export function JsonTab({ doc, readOnly, onChange }: { doc: Document; readOnly: boolean; onChange: (doc: Document) => void }) {
  const [seen, setSeen] = useState(doc);
  const [text, setText] = useState(() => format(doc));
  const parsed = parseDocument(text, doc.type);
  if (seen !== doc) {
    // It was changed elsewhere, or by what was typed here: only the first replaces the text.
    setSeen(doc);
    if (!('doc' in parsed) || !alike(parsed.doc, doc)) setText(format(doc));
  }
  return (
    <>
      <Textarea
        aria-label="The document as JSON"
        classNames={{ input: `${classes.mono ?? ''} ${classes.json ?? ''}` }}
        autosize
        minRows={20}
        maxRows={60}
        spellCheck={false}
        readOnly={readOnly}
        value={text}
        error={'problem' in parsed ? parsed.problem : undefined}
        onChange={(e) => {
          const next = e.currentTarget.value;
          setText(next);
          const read = parseDocument(next, doc.type);
          if ('doc' in read && !alike(read.doc, doc)) onChange(read.doc);
        }}
      />
      <Text size="xs" c="dimmed" mt={6}>
        {readOnly ? 'What is in the library is changed there.' : 'As it is stored. Changes here show on the canvas as you type.'}
      </Text>
    </>
  );
}

function format(doc: Document): string {
  return JSON.stringify(doc, null, 2);
}
