import { useId, useState } from 'react';

import { AUTO, isPath, type Matching, type ReplyForm } from './matching';
import styles from './matching-choice.module.css';

interface MatchingChoiceProps {
  matching: Matching;
  form: ReplyForm | undefined;
  /** Whether anything was received. */
  hasHeard: boolean;
  onChange: (matching: Matching) => void;
}

const DEFAULT_PATH = 'id';

/** How a reply finds its message: what was seen, and what one may say instead. */
export default function MatchingChoice({
  matching,
  form,
  hasHeard,
  onChange,
}: MatchingChoiceProps) {
  const problemId = useId();
  const seenPath = form?.by === 'json' ? form.path : DEFAULT_PATH;
  const path = matching.by === 'json' ? matching.path : seenPath;
  /** While it is being typed; a path that is none is not taken. */
  const [typed, setTyped] = useState<string | null>(null);
  const isWrong = typed !== null && !isPath(typed);
  return (
    <div className={styles.choice}>
      <label className={styles.label}>
        Replies matched
        <select
          className={styles.select}
          value={matching.by}
          onChange={({ target }) => {
            setTyped(null);
            onChange(CHOICES[target.value as Matching['by']](path));
          }}
        >
          <option value="auto">{`By itself: ${describeForm(form, hasHeard)}`}</option>
          <option value="suffix">With the suffix</option>
          <option value="exact">Exact echo</option>
          <option value="json">By a JSON field</option>
          <option value="off">Not at all</option>
        </select>
      </label>
      {matching.by === 'json' && (
        <label className={styles.label}>
          Field
          <input
            type="text"
            className={styles.path}
            value={typed ?? path}
            spellCheck={false}
            autoComplete="off"
            aria-invalid={isWrong}
            aria-describedby={problemId}
            onChange={({ target: { value } }) => {
              setTyped(value);
              if (isPath(value)) onChange({ by: 'json', path: value });
            }}
            onBlur={() => {
              setTyped(null);
            }}
          />
          <span id={problemId} className={styles.hint}>
            such as params.0.id, or id=replyTo
          </span>
        </label>
      )}
    </div>
  );
}

const CHOICES: Readonly<Record<Matching['by'], (path: string) => Matching>> = {
  auto: () => AUTO,
  suffix: () => ({ by: 'suffix' }),
  exact: () => ({ by: 'exact' }),
  json: (path) => ({ by: 'json', path }),
  off: () => ({ by: 'off' }),
};

function describeForm(form: ReplyForm | undefined, hasHeard: boolean): string {
  switch (form?.by) {
    case 'suffix':
      return 'with the suffix';
    case 'exact':
      return 'exact echo';
    case 'json':
      return `JSON ${form.path}`;
    case undefined:
      return hasHeard ? 'no replies yet' : 'not seen yet';
  }
}
