import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import type { SavedEnvironment } from './library';
import styles from './saved.module.css';

interface EnvironmentChoiceProps {
  environments: readonly SavedEnvironment[];
  chosen: SavedEnvironment | null;
  onChoose: (id: string | null) => void;
  onEdit: () => void;
  onNew: () => void;
}

/** Whose variables are filled in. */
export function EnvironmentChoice(props: EnvironmentChoiceProps) {
  const { environments, chosen, onChoose, onEdit, onNew } = props;
  return (
    <div className={styles.bar}>
      <div className={styles.grow}>
        <Field name="Environment: where {{variables}} have their values">
          {(id) => (
            <select
              id={id}
              className={panel.input}
              value={chosen?.id ?? ''}
              onChange={({ target }) => onChoose(target.value === '' ? null : target.value)}
            >
              <option value="">None</option>
              {environments.map(({ id: one, content }) => (
                <option key={one} value={one}>
                  {content.name}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      {chosen !== null && (
        <button type="button" className={button.smallQuiet} onClick={onEdit}>
          Edit variables
        </button>
      )}
      <button type="button" className={button.smallQuiet} onClick={onNew}>
        New environment
      </button>
    </div>
  );
}
