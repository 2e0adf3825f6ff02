import { type Data, type InputValue, type KubeVolume, textIn } from './document';

/** What a person has typed or chosen for one input: a text, or one text a line. */
export type Given = Readonly<Record<string, string>>;

/** What the inputs get if nobody says anything else. */
export function givenFor(inputs: readonly Data[]): Record<string, string> {
  return Object.fromEntries(inputs.map((d) => [d.name, defaultOf(d)]));
}

export function defaultOf(input: Data): string {
  const value = input.userdata?.value;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? value.map(String).join('\n') : '';
}

/** What a run is given before: so that it can be run again. */
export function givenBy(values: readonly InputValue[]): Record<string, string> {
  return Object.fromEntries(values.map((v) => [v.target, Array.isArray(v.value) ? v.value.join('\n') : v.value]));
}

/** The elements of a list, one a line. Pasted JSON is a list too. */
export function elements(text: string): string[] {
  const trimmed = text.trim();
  if (trimmed.startsWith('[')) {
    try {
      const list: unknown = JSON.parse(trimmed);
      if (Array.isArray(list)) return list.map((x) => (typeof x === 'string' ? x : JSON.stringify(x)));
    } catch {
      // It is no JSON: then each line is an element.
    }
  }
  return trimmed === '' ? [] : text.split('\n').map((l) => l.trimEnd()).filter((l) => l !== '');
}

/** What is wrong with a value, as far as the browser can know. */
export function valueProblem(input: Data, text: string): string | undefined {
  switch (input.type) {
    case 'artifact':
      return 'Nothing can bring a file into a run from outside: let a node fetch it, or make this input a volume.';
    case 'env_secret':
      return text === '' ? 'Choose a secret of the workspace.' : undefined;
    case 'volume':
      return text === '' ? 'Choose a volume of the workspace.' : undefined;
    case 'parameter_array':
      return elements(text).length === 0 ? 'Write at least one element, one a line.' : undefined;
    case 'parameter':
      return numberProblem(input.mediatype ?? [], text);
  }
}

function numberProblem(media: readonly string[], text: string): string | undefined {
  if (media.includes('integer') && !/^[-+]?\d+$/.test(text.trim())) return 'Write a whole number.';
  if (media.includes('number') && (text.trim() === '' || !Number.isFinite(Number(text)))) return 'Write a number.';
  return undefined;
}

/** The values as the server takes them; those that have none are left out. */
export function inputValues(inputs: readonly Data[], given: Given): InputValue[] {
  return inputs.flatMap((d): InputValue[] => {
    const text = given[d.name] ?? '';
    switch (d.type) {
      case 'parameter':
        return [{ target: d.name, value: text }];
      case 'parameter_array': {
        const list = elements(text);
        return list.length === 0 ? [] : [{ target: d.name, value: list }];
      }
      case 'env_secret':
      case 'volume':
        return text === '' ? [] : [{ target: d.name, value: text }];
      case 'artifact':
        return [];
    }
  });
}

/** A volume of the workspace as a run names it. */
export function volumeValue(volume: KubeVolume): string {
  return JSON.stringify(volume);
}

export function hintOf(input: Data): string | undefined {
  return textIn(input.userdata, 'description');
}
