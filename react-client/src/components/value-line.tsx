import { lineSpans } from '../lib/values/value-text';
import styles from './values.module.css';

interface ValueLineProps {
  /** JSON, or what a decoder has made. */
  text: string;
  /** So many characters of it are shown at most. */
  most: number;
}

/** The beginning of a value in one coloured line. */
export function ValueLine({ text, most }: ValueLineProps) {
  const { spans, isCut } = lineSpans(text, most);
  return (
    <span className={styles.line} dir="ltr">
      {spans.map(({ kind, text: said }, index) => (
        <span key={index} className={styles[kind]}>
          {said}
        </span>
      ))}
      {isCut && '…'}
    </span>
  );
}
