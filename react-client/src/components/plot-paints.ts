import type { ChartColour } from './chart-kinds';

/** Colours and the face of letters, as a canvas takes them. */
export type Paints = Readonly<Record<ChartColour | 'text' | 'line' | 'surface' | 'face', string>>;

/** Read the tokens in force, as a canvas understands them: no `var()`, no `light-dark()`. */
export function paintsOf(element: HTMLElement): Paints {
  const probe = document.createElement('span');
  // A high-contrast theme would give all lines one colour.
  probe.style.setProperty('forced-color-adjust', 'none');
  element.append(probe);
  const colourOf = (token: string) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const resolved = {
    teal: colourOf('--chart-teal'),
    blue: colourOf('--chart-blue'),
    amber: colourOf('--chart-amber'),
    rose: colourOf('--chart-rose'),
    grey: colourOf('--chart-grey'),
    bad: colourOf('--bad'),
    text: colourOf('--text-soft'),
    line: colourOf('--line'),
    surface: colourOf('--surface'),
    face: getComputedStyle(element).fontFamily,
  };
  probe.remove();
  return resolved;
}
