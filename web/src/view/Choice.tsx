// A few alternatives side by side: radio buttons to a keyboard and a screen reader, tabs to an eye.
import { useId } from "react";

interface Props<T extends string> {
  readonly legend: string;
  readonly value: T;
  readonly options: readonly (readonly [value: T, label: string])[];
  readonly onChange: (value: T) => void;
}

export function Choice<T extends string>({ legend, value, options, onChange }: Props<T>) {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend className="hidden">{legend}</legend>
      {options.map(([option, label]) => (
        <label key={option} data-value={option} data-checked={option === value}>
          <input
            type="radio"
            name={name}
            value={option}
            checked={option === value}
            onChange={() => onChange(option)}
          />
          {label}
        </label>
      ))}
    </fieldset>
  );
}
