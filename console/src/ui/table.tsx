import { Table } from '@mantine/core';
import type { ReactNode } from 'react';
import classes from './ui.module.css';

interface Props {
  /** What the table holds, for screen readers. */
  label: string;
  head: readonly (string | { label: string; hidden: true } | { label: string; align: 'right' })[];
  minWidth?: number;
  children: ReactNode;
}

/** A table that scrolls sideways in its own frame, by keyboard too, instead of breaking the page. */
export function DataTable({ label, head, minWidth = 640, children }: Props) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrolling region must be reachable by keyboard
    <div className={classes.scroll} tabIndex={0} role="region" aria-label={label}>
      <Table highlightOnHover miw={minWidth} fz="sm">
        <Table.Thead>
          <Table.Tr>
            {head.map((h) => {
              const cell = typeof h === 'string' ? { label: h } : h;
              return (
                <Table.Th key={cell.label} scope="col" {...('align' in cell ? { ta: cell.align } : {})}>
                  {'hidden' in cell ? <span className="visually-hidden">{cell.label}</span> : cell.label}
                </Table.Th>
              );
            })}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </div>
  );
}
