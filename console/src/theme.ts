import {
  ActionIcon,
  Anchor,
  Badge,
  Button,
  createTheme,
  Drawer,
  type CSSVariablesResolver,
  Modal,
  type MantineColorsTuple,
  NativeSelect,
  Notification,
  Table,
  TextInput,
  Tooltip,
} from '@mantine/core';

/** Lodge's own green, dark enough for white text from shade 7 on. */
const pine: MantineColorsTuple = [
  '#eaf7f3',
  '#d6ebe4',
  '#addbcb',
  '#80c9b0',
  '#5bba99',
  '#3fa886',
  '#2c8a6f',
  '#1f6f5c',
  '#17594a',
  '#0d4337',
];

/** Greys with a breath of green, so that light and dark belong to the same house. */
const gray: MantineColorsTuple = [
  '#f7f9f8',
  '#f0f3f2',
  '#e4e9e7',
  '#d5dbd9',
  '#c3cbc8',
  '#9fa9a6',
  '#626d69',
  '#4f5a56',
  '#343d3a',
  '#1d2422',
];

const dark: MantineColorsTuple = [
  '#d5dcda',
  '#bcc5c2',
  '#a1aca8',
  '#75817d',
  '#3c4744',
  '#2c3634',
  '#212a28',
  '#171e1c',
  '#121816',
  '#0b100f',
];

/** Amber, quiet enough for a banner and dark enough to be read at the end. */
const yellow: MantineColorsTuple = [
  '#fdf8ea',
  '#faf0d2',
  '#f3dfa4',
  '#ebcb6f',
  '#e2b640',
  '#cf9d1f',
  '#ad8013',
  '#87620b',
  '#6b4c07',
  '#573d05',
];

export const theme = createTheme({
  primaryColor: 'pine',
  primaryShade: 7,
  colors: { pine, gray, dark, yellow },
  black: '#1d2422',
  autoContrast: false,
  cursorType: 'pointer',
  respectReducedMotion: true,
  defaultRadius: 'md',
  fontFamily:
    'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace:
    'ui-monospace, "JetBrains Mono", SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  headings: {
    fontWeight: '650',
    sizes: {
      h1: { fontSize: '1.375rem', lineHeight: '1.3' },
      h2: { fontSize: '1.0625rem', lineHeight: '1.35' },
      h3: { fontSize: '0.9375rem', lineHeight: '1.4' },
    },
  },
  radius: { xs: '3px', sm: '5px', md: '7px', lg: '10px', xl: '16px' },
  components: {
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: 'subtle', color: 'gray' } }),
    Anchor: Anchor.extend({ defaultProps: { underline: 'hover' } }),
    Badge: Badge.extend({ defaultProps: { variant: 'light', radius: 'sm', tt: 'none', fw: 550, miw: 'max-content' } }),
    Button: Button.extend({ defaultProps: { size: 'sm', fw: 550 } }),
    Drawer: Drawer.extend({ defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } }),
    Modal: Modal.extend({ defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' }, overlayProps: { backgroundOpacity: 0.45 } } }),
    NativeSelect: NativeSelect.extend({ defaultProps: { size: 'sm' } }),
    Notification: Notification.extend({ defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 8, horizontalSpacing: 'md' } }),
    TextInput: TextInput.extend({ defaultProps: { size: 'sm' } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 250, events: { hover: true, focus: true, touch: false } } }),
  },
});

/** Errors are dark enough to be read. In the dark, tinted surfaces are a breath of their colour, and what stands on them is light. */
export const resolveVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: { '--mantine-color-error': 'var(--mantine-color-red-8)' },
  dark: {
    '--mantine-color-error': 'var(--mantine-color-red-4)',
    ...Object.fromEntries(
      ['pine', 'red', 'yellow', 'blue', 'gray'].flatMap((color) => [
        [`--mantine-color-${color}-light`, `color-mix(in srgb, var(--mantine-color-${color}-5) 17%, transparent)`],
        [`--mantine-color-${color}-light-hover`, `color-mix(in srgb, var(--mantine-color-${color}-5) 24%, transparent)`],
        [`--mantine-color-${color}-light-color`, `var(--mantine-color-${color}-2)`],
      ]),
    ),
  },
});
