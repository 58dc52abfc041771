import { type ReactNode, useId } from 'react';

import panel from './panel.module.css';

interface FieldProps {
  name: string;
  /** What has this id is what the name is of. */
  children: (id: string) => ReactNode;
}

/** A field of a panel or dialog, with its name above. */
export function Field({ name, children }: FieldProps) {
  const id = useId();
  return (
    <div className={panel.field}>
      <label htmlFor={id} className={panel.name}>
        {name}
      </label>
      {children(id)}
    </div>
  );
}
